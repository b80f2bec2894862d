"""GT-known localization accuracy: boxes found for the true class, whatever was predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastcam.arrays import ArrayLike
from fastcam.metrics.arguments import checked_found, checked_iou
from fastcam.metrics.ground_truth import GroundTruth
from fastcam.metrics.metric import SumMetric

__all__ = ["GTKnownLoc"]


class GTKnownLoc(SumMetric):
    """The share of images whose box reaches an IoU with one of the image's ground-truth boxes.

    Args:
        iou_threshold: the IoU at which a box is right.
        inclusive: x1 and y1 are the last pixels inside, in found boxes and ground truth alike, as the evaluators of
            the field have it; otherwise both are half-open, as :func:`fastcam.localize` gives them.
        **kwargs: of ``torchmetrics.Metric``.

    ``compute()`` gives a fraction in [0, 1], float64; NaN before the first image.

    Raises:
        ValueError: ``iou_threshold`` outside (0, 1].

    Example:
        >>> import torch
        >>> from fastcam.metrics import GTKnownLoc
        >>> metric = GTKnownLoc()
        >>> found = torch.tensor([[0.0, 0, 10, 10], [5, 5, 20, 20]])
        >>> metric.update(found, [[[0, 0, 10, 15]], [[40, 40, 60, 60], [0, 0, 9, 9]]])
        >>> metric.compute().item()
        0.5
    """

    right: Tensor
    images: Tensor

    def __init__(self, iou_threshold: float = 0.5, *, inclusive: bool = False, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.iou_threshold = checked_iou(iou_threshold)
        self.inclusive = bool(inclusive)
        self.record_settings(iou_threshold=self.iou_threshold, inclusive=self.inclusive)
        self.add_sum("right")
        self.add_sum("images")

    def update(self, found: ArrayLike, boxes: Sequence[Any] | ArrayLike) -> None:
        """Count a batch.

        Args:
            found: (N, 4), the box of the true class of each image.
            boxes: the ground truth of every image, (G, 4).

        Raises:
            TypeError: not an array, or boxes that are none.
            ValueError: a wrong shape, an image without boxes, a box that is negative or inverted.
        """
        given = checked_found(found, 2, "(N, 4)")
        truth = GroundTruth(boxes, len(given))
        overlaps = truth.best_iou(given[:, None], inclusive=self.inclusive)
        self.right += int((overlaps >= self.iou_threshold).sum())
        self.images += len(given)

    def compute(self) -> Tensor:
        """Return the share of right images."""
        return self.right.to(torch.float64) / self.images
