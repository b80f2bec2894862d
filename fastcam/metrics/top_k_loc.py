"""Top-k localization accuracy: the class among the k first predicted, and a box that fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from fastcam.arrays import ArrayLike
from fastcam.metrics.arguments import checked_classes, checked_count, checked_found, checked_iou, checked_labels
from fastcam.metrics.ground_truth import GroundTruth
from fastcam.metrics.metric import SumMetric

__all__ = ["TopKLoc"]


class TopKLoc(SumMetric):
    """The share of images classified rightly among the first k, with a box that reaches an IoU with the ground truth.

    The field computes it in two ways, which agree where k is 1: an image that counts has its own class predicted.

    Args:
        k: how many of the predicted classes count.
        box: whose box is judged. ``"predicted"``: each predicted class has a box of its own, and one of the first k
            must be of the true class and fit. ``"true"``: the box of the true class, as evaluators have it
            that know one map an image.
        iou_threshold: the IoU at which a box is right.
        inclusive: see :class:`GTKnownLoc`.
        **kwargs: of ``torchmetrics.Metric``.

    ``compute()`` gives a fraction in [0, 1], float64; NaN before the first image.

    Raises:
        ValueError: ``k`` below 1, another ``box``, ``iou_threshold`` outside (0, 1].

    Example:
        >>> import torch
        >>> from fastcam.metrics import TopKLoc
        >>> metric = TopKLoc(k=2)
        >>> found = torch.tensor([[[0.0, 0, 3, 3], [0, 0, 10, 10]], [[0, 0, 10, 10], [0, 0, 3, 3]]])
        >>> truth = [[[0, 0, 10, 12]], [[0, 0, 10, 12]]]
        >>> metric.update(found, truth, predicted=torch.tensor([[7, 3], [5, 3]]), labels=[3, 3])
        >>> metric.compute().item()
        0.5
    """

    right: Tensor
    images: Tensor

    def __init__(
        self,
        k: int = 1,
        *,
        box: Literal["predicted", "true"] = "predicted",
        iou_threshold: float = 0.5,
        inclusive: bool = False,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.k = checked_count("k", k)
        if box not in ("predicted", "true"):
            raise ValueError(f"box must be 'predicted' or 'true', got {box!r}")
        self.box = box
        self.iou_threshold = checked_iou(iou_threshold)
        self.inclusive = bool(inclusive)
        self.record_settings(k=self.k, box=self.box, iou_threshold=self.iou_threshold, inclusive=self.inclusive)
        self.add_sum("right")
        self.add_sum("images")

    def update(
        self, found: ArrayLike, boxes: Sequence[Any] | ArrayLike, *, predicted: ArrayLike, labels: ArrayLike
    ) -> None:
        """Count a batch.

        Args:
            found: with ``box="predicted"`` (N, T, 4), T at least k, a box for each predicted class; with
                ``box="true"`` (N, 4).
            boxes: the ground truth of every image, (G, 4).
            predicted: (N, T) classes, T at least k, the likeliest first.
            labels: (N,) true classes.

        Raises:
            TypeError: not an array, or boxes that are none.
            ValueError: a wrong shape, an image without boxes, a box that is negative or inverted.
        """
        of_true = self.box == "true"
        given = checked_found(found, 2 if of_true else 3, "(N, 4)" if of_true else "(N, T, 4)")
        classes = checked_classes(predicted, len(given), self.k)
        if not of_true and given.shape[1] < self.k:
            raise ValueError(f"found must hold a box for each of the first {self.k} classes, got {tuple(given.shape)}")
        right = classes == checked_labels(labels, len(given)).cpu()[:, None]
        judged = given[:, None] if of_true else given[:, : self.k]
        overlaps = GroundTruth(boxes, len(given)).best_iou(judged, inclusive=self.inclusive)
        self.right += int((right & (overlaps >= self.iou_threshold)).any(dim=1).sum())
        self.images += len(given)

    def compute(self) -> Tensor:
        """Return the share of right images."""
        return self.right.to(torch.float64) / self.images
