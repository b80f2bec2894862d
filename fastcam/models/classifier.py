"""What the paper's networks share: feature maps, one pooling, one linear layer: :class:`Classifier`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fastcam.activation import Index
from fastcam.extractors.extraction import LinearExtraction, check_choice, chosen_classes
from fastcam.extractors.extractor import Extractor, checked_images
from fastcam.inputs import Inputs
from fastcam.models.names import WeightNames
from fastcam.models.weights import WeightsReport
from fastcam.pooling import GAP, GMP, LSE, TAP

__all__ = ["POOLINGS", "Classifier", "Pooling", "scaled"]

Pooling = Literal["gap", "tap", "gmp", "lse"] | nn.Module

POOLINGS: Mapping[str, Callable[[], nn.Module]] = {"gap": GAP, "gmp": GMP, "lse": LSE}
"""The poolings without a threshold, by name; ``"tap"`` is the one with."""


class Classifier(nn.Module, Extractor):
    """A convolutional network whose logits are one linear layer of its pooled feature maps.

    ``forward(images)`` is ``forward_head(forward_features(images))``. The features are those of a pretrained backbone,
    ``forward_backbone``, and of what the paper puts behind it, ``forward_neck``: convolutions or nothing. Methods with
    their own branches (ACoL) take the backbone's output; methods that act inside (ADL, SPG) find the modules that the
    literature names in ``adl_positions``, ``spg_positions`` and ``danet_positions``, and reach them by
    ``get_submodule``.

    Attributes:
        pool: the pooling, (N, C, h, w) to (N, C).
        score_pool: None, or what pools the classes' maps (N, K, h, w) to the logits in the place of ``pool``, which
            pools features: of the methods with ``replaces_pooling``.
        classifier: the linear layer, C to K.
        backbone_channels: channels of the backbone's output.
        adl_positions: the modules behind which an attention-based dropout layer stands.
        spg_positions: the modules whose outputs SPG's branches B1 and B2 take, in this order, with their channels;
            None where the literature defines no such branches.
        danet_positions: the modules whose outputs DANet's branches take, that of the classes' parents first, then that
            of their grandparents, with their channels; None likewise.
        inputs: what the ImageNet weights were trained to see of a picture.
        tap_threshold: the paper's threshold for this network.
        weight_names: how other libraries' files name its weights.
        weights_report: what :func:`fastcam.models.load_weights` last did; None where it was not called.
    """

    inputs: ClassVar[Inputs] = Inputs()
    weight_names: ClassVar[WeightNames] = WeightNames()
    tap_threshold: ClassVar[float] = 0.0
    backbone_channels: int
    adl_positions: tuple[str, ...]
    spg_positions: Mapping[str, int] | None = None
    danet_positions: Mapping[str, int] | None = None
    weights_report: WeightsReport | None = None
    pool: nn.Module
    score_pool: nn.Module | None
    classifier: nn.Linear

    @classmethod
    def imagenet_file(cls) -> Path:
        """Return the file with the ImageNet weights, downloaded if need be.

        Raises:
            ValueError: there are none for this network.
        """
        raise ValueError(f"{cls.__name__} has no ImageNet weights; give a file of weights")

    @abstractmethod
    def forward_backbone(self, images: Tensor) -> Tensor:
        """Return the pretrained backbone's feature maps, (N, backbone_channels, h, w)."""

    def forward_neck(self, features: Tensor) -> Tensor:
        """Return the maps that are pooled, (N, C, h, w), from the backbone's."""
        return features

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the maps that are pooled, (N, C, h, w), from images (N, 3, H, W)."""
        return self.forward_neck(self.forward_backbone(images))

    def forward_head(self, features: Tensor) -> Tensor:
        """Return the logits (N, K) from the maps."""
        if self.score_pool is None:
            logits: Tensor = self.classifier(self.pool(features))
            return logits
        pooled: Tensor = self.score_pool(
            F.conv2d(features, self.classifier.weight[:, :, None, None], self.classifier.bias)
        )
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, K) from images (N, 3, H, W)."""
        return self.forward_head(self.forward_features(images))

    @property
    def num_classes(self) -> int:
        """K, the number of classes."""
        return self.classifier.out_features

    def extract(self, images: Tensor, index: Index | None = None, *, top_k: int | None = None) -> LinearExtraction:
        """Run the network once; see :meth:`fastcam.extractors.Extractor.extract`."""
        check_choice(index, top_k)
        checked_images(images)
        with torch.no_grad():
            features = self.forward_features(images)
            logits = self.forward_head(features)
        labels = chosen_classes(logits, index, top_k)
        return LinearExtraction(logits, labels, (images.shape[2], images.shape[3]), features, self.classifier.weight)

    def _finish(self, channels: int, num_classes: int, pooling: Pooling, tap_threshold: float | None) -> None:
        """Add the head, and initialize everything: He et al.'s normal distribution, N(0, 0.01) for the classifier."""
        if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
            raise ValueError(f"num_classes must be a positive integer, got {num_classes!r}")
        self.pool = self._pooling(pooling, tap_threshold)
        self.score_pool = None
        self.classifier = nn.Linear(channels, num_classes)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                # By the inputs: the outputs of a depthwise convolution are its channels, not those of one position.
                nn.init.kaiming_normal_(part.weight, mode="fan_in", nonlinearity="relu")
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def _pooling(self, pooling: Pooling, tap_threshold: float | None) -> nn.Module:
        if pooling == "tap":
            return TAP(self.tap_threshold if tap_threshold is None else tap_threshold)
        if tap_threshold is not None:
            raise ValueError(f"tap_threshold={tap_threshold!r} goes with pooling='tap', got pooling={pooling!r}")
        if isinstance(pooling, nn.Module):
            return pooling
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be 'tap', {', '.join(map(repr, POOLINGS))} or a module, got {pooling!r}")
        return POOLINGS[pooling]()


def scaled(channels: int, width: float) -> int:
    """Scale a number of channels, to a multiple of 8 except at width 1, where it stays what it is.

    Example:
        >>> scaled(1024, 1 / 16), scaled(48, 1 / 16), scaled(80, 1.0)
        (64, 8, 80)
    """
    if isinstance(width, bool) or not isinstance(width, int | float) or not 0 < width <= 8:
        raise ValueError(f"width must be a number in (0, 8], got {width!r}")
    return channels if width == 1 else max(8, round(channels * width / 8) * 8)
