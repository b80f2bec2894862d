"""What of a trained network the rows are judged by: :class:`TrainedNetwork`."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["TrainedNetwork"]


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network on the test images.

    Attributes:
        tap: trained with thresholded average pooling, not with GAP.
        features: (N, C, h, w), the maps that are pooled.
        weight: (K, C), the classifier's.
        logits: (N, K).
    """

    tap: bool
    features: Tensor
    weight: Tensor
    logits: Tensor
