"""CutMix: paste a rectangle of another image, and share the label by area."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from fastcam.methods.fraction import checked_fraction
from fastcam.methods.method import Method, Outcome
from fastcam.models.classifier import Classifier

__all__ = ["CutMix", "Mixed", "mix"]


@dataclass(frozen=True)
class Mixed:
    """A mixed batch.

    Attributes:
        images: (N, C, H, W).
        order: (N,) int64: image i got its rectangle from image ``order[i]``.
        rectangle: y0, x0, y1, x1, half-open.
        share: of the area that is still the image's own, exactly.
    """

    images: Tensor
    order: Tensor
    rectangle: tuple[int, int, int, int]
    share: float


def mix(images: Tensor, beta: float) -> Mixed:
    """Give every image of a batch the same rectangle of another one.

    The rectangle has the image's proportions and, before it is cut at the border, 1 - lambda of its area, with
    lambda from Beta(beta, beta) and the centre anywhere.

    Args:
        images: (N, C, H, W); not changed.
        beta: of the distribution; 1 is uniform.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> mixed = mix(torch.arange(2.0).reshape(2, 1, 1, 1).expand(2, 1, 8, 8), 1.0)
        >>> y0, x0, y1, x1 = mixed.rectangle
        >>> mixed.share == 1 - (y1 - y0) * (x1 - x0) / 64
        True
    """
    n, _, height, width = images.shape
    kept = torch.distributions.Beta(beta, beta).sample().item()
    order = torch.randperm(n)
    halves = [int(side * math.sqrt(1 - kept)) // 2 for side in (height, width)]
    centres = [int(torch.randint(side, ()).item()) for side in (height, width)]
    (y0, x0), (y1, x1) = (
        [
            min(max(centre + sign * half, 0), side)
            for centre, half, side in zip(centres, halves, (height, width), strict=True)
        ]
        for sign in (-1, 1)
    )
    order = order.to(images.device)
    mixed = images.clone()
    mixed[:, :, y0:y1, x0:x1] = images[order, :, y0:y1, x0:x1]
    return Mixed(mixed, order, (y0, x0, y1, x1), 1 - (y1 - y0) * (x1 - x0) / (height * width))


class CutMix(Method):
    """CutMix (Yun et al., ICCV 2019).

    Args:
        beta: of the distribution of the share, above 0.
        probability: with which a batch is mixed.

    Raises:
        ValueError: a number out of range.
    """

    name = "cutmix"

    def __init__(self, beta: float = 1.0, probability: float = 1.0) -> None:
        super().__init__()
        if not beta > 0:
            raise ValueError(f"beta must be above 0, got {beta!r}")
        self.beta = float(beta)
        self.probability = checked_fraction("probability", probability)

    def forward(self, model: Classifier, images: Tensor, labels: Tensor) -> Outcome:
        """Return the cross-entropies of both labels, weighted by area; the logits are those of the mixed images."""
        if torch.rand(()).item() >= self.probability:
            return super().forward(model, images, labels)
        mixed = mix(images, self.beta)
        logits: Tensor = model(mixed.images)
        own, other = F.cross_entropy(logits, labels), F.cross_entropy(logits, labels[mixed.order])
        return Outcome(mixed.share * own + (1 - mixed.share) * other, logits)

    def extra_repr(self) -> str:
        """Return what is between the brackets of the module's repr."""
        return f"beta={self.beta}, probability={self.probability}"
