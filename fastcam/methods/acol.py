"""ACoL: a second classifier that sees only what the first did not need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from fastcam.activation import Index, cam
from fastcam.extractors.extraction import Extraction, check_choice, chosen_classes
from fastcam.extractors.extractor import checked_images
from fastcam.extractors.positions import check_positions
from fastcam.methods.branch import second_head
from fastcam.methods.fraction import checked_fraction
from fastcam.methods.method import Method, Outcome
from fastcam.methods.spread import spread
from fastcam.models.classifier import Classifier

__all__ = ["ACoL", "erase"]


def erase(features: Tensor, attention: Tensor, threshold: float) -> Tensor:
    """Set the features (N, C, h, w) to 0 where the attention (N, h, w), in [0, 1], reaches the threshold."""
    return features * (attention < threshold)[:, None]


class ACoL(Method):
    """Adversarial complementary learning (Zhang et al., CVPR 2018).

    Classifier A is the model's own: its neck, pooling and linear layer, so that the checkpoint stays an ordinary one.
    Classifier B has its own weights, two 3x3 convolutions and a linear layer as in the paper, and takes the backbone's
    features with A's attention to the true class erased. The loss is the sum of both cross-entropies; the map that
    localizes is the larger of both, each spread over [0, 1].

    Args:
        threshold: delta, in [0, 1]: what counts as attended.
    """

    name = "acol"
    published: ClassVar = {
        "vgg16": "ACoL; wsolevaluation",
        "resnet50": "wsolevaluation",
        "googlenet": "ACoL, GoogLeNet; wsolevaluation, InceptionV3",
    }
    elsewhere: ClassVar = (
        False,
        "ACoL and wsolevaluation define its two classifiers for VGG16, GoogLeNet/InceptionV3 and ResNet50 only",
    )

    def __init__(self, threshold: float = 0.7) -> None:
        super().__init__()
        self.threshold = checked_fraction("threshold", threshold)

    def attach(self, model: Classifier) -> None:
        """Build classifier B."""
        linear = model.classifier
        channels = min(1024, linear.in_features)
        self.neck, self.classifier = second_head(model.backbone_channels, channels, linear.out_features)

    def forward(self, model: Classifier, images: Tensor, labels: Tensor) -> Outcome:
        """Return the sum of both classifiers' cross-entropies, and A's logits."""
        backbone = model.forward_backbone(images)
        first = model.forward_neck(backbone)
        logits = model.forward_head(first)
        second = self._second(model, backbone, first, labels)
        other = self.classifier(model.pool(second))
        return Outcome(F.cross_entropy(logits, labels) + F.cross_entropy(other, labels), logits)

    def extract(
        self, model: Classifier, images: Tensor, index: Index | None = None, *, top_k: int | None = None
    ) -> Extraction:
        """Run both classifiers; the map is the larger of theirs."""
        check_choice(index, top_k)
        checked_images(images)
        with torch.no_grad():
            backbone = model.forward_backbone(images)
            first = model.forward_neck(backbone)
            check_positions(first.shape[2:], images.shape[2:])
            logits = model.forward_head(first)
            labels = chosen_classes(logits, index, top_k)
            # What B sees depends on the class, whose attention is erased.
            seconds = tuple(self._second(model, backbone, first, column) for column in _columns(labels))
        return _LargerOfTwo(
            logits,
            labels,
            (images.shape[2], images.shape[3]),
            first,
            model.classifier.weight,
            seconds,
            self.classifier.weight,
        )

    def _second(self, model: Classifier, backbone: Tensor, first: Tensor, labels: Tensor) -> Tensor:
        # Nothing is learned through the mask: it only says where A looks.
        attention = spread(cam(first.detach(), model.classifier.weight.detach(), labels, clamp_negative=False))
        features: Tensor = self.neck(erase(backbone, attention, self.threshold))
        return features


@dataclass(frozen=True)
class _LargerOfTwo(Extraction):
    """The larger of both classifiers' maps, each spread over [0, 1].

    Attributes:
        first: (N, C, h, w), the features of classifier A.
        first_weight: (K, C) of A.
        seconds: for each of the T classes of an image the features of classifier B, (N, D, h, w).
        second_weight: (K, D) of B.
    """

    first: Tensor
    first_weight: Tensor
    seconds: tuple[Tensor, ...]
    second_weight: Tensor

    def maps(self, *, clamp_negative: bool = True) -> Tensor:
        """Return the larger maps, (N, h, w) or (N, T, h, w)."""
        larger = [
            torch.maximum(
                spread(cam(self.first, self.first_weight, column, clamp_negative=clamp_negative)),
                spread(cam(second, self.second_weight, column, clamp_negative=clamp_negative)),
            )
            for column, second in zip(_columns(self.labels), self.seconds, strict=True)
        ]
        return torch.stack(larger, dim=1).reshape(*self.labels.shape, *self.first.shape[2:])


def _columns(labels: Tensor) -> tuple[Tensor, ...]:
    """The classes (N,) or (N, T) as one (N,) after the other."""
    return (labels,) if labels.dim() == 1 else labels.unbind(1)
