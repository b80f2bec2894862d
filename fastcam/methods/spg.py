"""SPG: what the classifier is sure of teaches its earlier layers to tell object from background."""

from __future__ import annotations

import functools
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fastcam.activation import cam
from fastcam.methods.method import Method, Outcome
from fastcam.methods.spread import spread
from fastcam.models.classifier import Classifier

__all__ = ["SPG", "guidance", "guided_loss"]

_IGNORED = -1.0
_FEWEST = 30


def guidance(attention: Tensor, high: float, low: float) -> Tensor:
    """Turn an attention map into a teacher: 1 is object, 0 background, -1 says nothing.

    Args:
        attention: (N, H, W) in [0, 1].
        high: above it lies the object; in an image with fewer than 30 such pixels, above 0.7 times its maximum.
        low: below it lies the background; that wins where both hold.

    Example:
        >>> guidance(torch.tensor([[0.0, 0.5, 1.0]]).expand(1, 40, 3), 0.7, 0.1)[0, 0]
        tensor([ 0., -1.,  1.])
    """
    few = (attention > high).sum((1, 2), keepdim=True) < _FEWEST
    object_above = torch.where(few, 0.7 * attention.amax((1, 2), keepdim=True), high)
    teacher = torch.where(attention > object_above, 1.0, _IGNORED)
    return torch.where(attention < low, 0.0, teacher)


def guided_loss(logits: Tensor, teacher: Tensor) -> Tensor:
    """Binary cross-entropy of logits (N, 1, h, w), resized, where the teacher (N, H, W) says something."""
    at = F.interpolate(logits, teacher.shape[1:], mode="bilinear", align_corners=False)[:, 0]
    known = teacher != _IGNORED
    each = F.binary_cross_entropy_with_logits(at, teacher.clamp(min=0), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


class SPG(Method):
    """Self-produced guidance (Zhang et al., ECCV 2018), in the form of wsolevaluation.

    Branches B1 and B2, on two inner layers and with shared last convolutions, and C, on the maps that are pooled, each
    say for every pixel whether it is object. The attention to the true class teaches B2, B2 teaches B1, the mean of
    both teaches C. The branches serve training alone: localization is the model's class activation map.

    Args:
        b2: (high, low) thresholds of the attention as B2's teacher.
        b1: of B2 as B1's teacher.
        c: of the mean of B1 and B2 as C's teacher.

    Raises:
        ValueError: a threshold outside [0, 1], or low not below high.
    """

    name = "spg"
    published: ClassVar = {
        "vgg16": "wsolevaluation",
        "resnet50": "wsolevaluation",
        "googlenet": "SPG; wsolevaluation, InceptionV3",
    }
    elsewhere: ClassVar = (
        False,
        "SPG and wsolevaluation define its branches for InceptionV3, VGG16 and ResNet50 only",
    )

    def __init__(
        self,
        b2: tuple[float, float] = (0.7, 0.01),
        b1: tuple[float, float] = (0.5, 0.05),
        c: tuple[float, float] = (0.7, 0.1),
    ) -> None:
        super().__init__()
        self.thresholds = {"b2": tuple(b2), "b1": tuple(b1), "c": tuple(c)}
        for name, pair in self.thresholds.items():
            if len(pair) != 2 or not 0 <= pair[1] < pair[0] <= 1:
                raise ValueError(f"{name} must be (high, low) in [0, 1] with low below high, got {pair}")
        self._seen: dict[str, Tensor] = {}

    def attach(self, model: Classifier) -> None:
        """Build the branches, and hook the two inner layers.

        Raises:
            ValueError: a model without ``spg_positions``.
        """
        if not model.spg_positions:
            raise ValueError(f"spg needs a model with spg_positions, {type(model).__name__} names none")
        hidden = min(512, model.backbone_channels)
        inner = list(model.spg_positions.values())
        self.first, self.second = (_convolution(channels, hidden) for channels in inner)
        self.shared = nn.Sequential(_convolution(hidden, hidden), nn.Conv2d(hidden, 1, 1))
        self.last = nn.Sequential(_convolution(model.classifier.in_features, hidden), nn.Conv2d(hidden, 1, 1))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for branch, position in zip(("b1", "b2"), model.spg_positions, strict=True):
            model.get_submodule(position).register_forward_hook(functools.partial(self._see, branch))

    def forward(self, model: Classifier, images: Tensor, labels: Tensor) -> Outcome:
        """Return the sum of the cross-entropy and the three branches' losses."""
        features = model.forward_features(images)
        logits = model.forward_head(features)
        b1 = self.shared(self.first(self._seen.pop("b1")))
        b2 = self.shared(self.second(self._seen.pop("b2")))
        size = images.shape[2:]
        resized = functools.partial(F.interpolate, size=size, mode="bilinear", align_corners=False)
        # Teachers are taken as they are: nothing flows back through them.
        with torch.no_grad():
            attention = spread(resized(cam(features, model.classifier.weight, labels, clamp_negative=False)[:, None]))
            by_b1, by_b2 = resized(b1).sigmoid(), resized(b2).sigmoid()
            teachers = {"b2": attention, "b1": by_b2, "c": (by_b1 + by_b2) / 2}
        loss = F.cross_entropy(logits, labels)
        for name, branch in {"b2": b2, "b1": b1, "c": self.last(features)}.items():
            loss = loss + guided_loss(branch, guidance(teachers[name][:, 0], *self.thresholds[name]))
        return Outcome(loss, logits)

    def _see(self, branch: str, module: nn.Module, _: object, output: Tensor) -> None:
        if module.training:
            self._seen[branch] = output


def _convolution(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 3, padding=1), nn.ReLU())
