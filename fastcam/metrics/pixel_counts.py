"""Pixels of objects and of background by their scores: what PxAP and the IoU of masks are read from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastcam.arrays import ArrayLike
from fastcam.metrics.arguments import (
    MasksLike,
    checked_maps,
    checked_masks,
    checked_thresholds,
    outside_error,
    values_error,
)
from fastcam.metrics.metric import SumMetric
from fastcam.ops.score_maps import score_histogram
from fastcam.sizes import checked_size

__all__ = ["PixelCounts", "ThresholdedPixels", "ious_of"]


class ThresholdedPixels(SumMetric):
    """Histograms of the scores of objects and of background, whose bins begin at the thresholds.

    Args:
        num_thresholds: thresholds are ``np.arange(0, 1, 1 / num_thresholds)``.
        **kwargs: of ``torchmetrics.Metric``.

    Attributes:
        thresholds: (num_thresholds,) float64.
        bins: how many: one for each threshold, one that begins at 1, and an empty one.

    Raises:
        ValueError: fewer than one threshold.
    """

    def __init__(self, num_thresholds: int, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.thresholds = checked_thresholds(num_thresholds)
        self._edges = torch.from_numpy(np.append(self.thresholds, [1.0, 2.0, 3.0]))
        self.bins = len(self._edges) - 1
        self.record_settings(num_thresholds=int(num_thresholds))

    def histograms(
        self, maps: ArrayLike, masks: MasksLike, size: tuple[int, int] | None, *, of_each: bool
    ) -> list[Tensor]:
        """Return the counts (2, bins) int64 of background and of objects: of all images, or of each."""
        given = checked_maps(maps)
        height, width = given.shape[1:] if size is None else checked_size(size)
        truth = checked_masks(masks, len(given), (height, width)).to(given.device)
        edges = self._edges.to(given.device)
        parts = [slice(i, i + 1) for i in range(len(given))] if of_each else [slice(None)]
        found = []
        for part in parts:
            counts, inside, known = score_histogram(given[part], truth[part], edges, size is not None)
            if not inside.all():
                raise outside_error(inside, given[part], part.start or 0)
            if not known.all():
                raise values_error(truth)
            found.append(counts)
        return found

    def entry(self, threshold: float) -> int:
        """Return which bin begins at a threshold, which must be one of the metric's, or 1.

        Raises:
            ValueError: it is none of them.
        """
        edges = self._edges[:-2].numpy()
        at = int(np.abs(edges - threshold).argmin())
        # The thresholds are multiples that are rounded: 0.57 is not 570 * 0.001.
        if not np.isclose(edges[at], threshold, rtol=0, atol=1e-9):
            raise ValueError(
                f"threshold must be one of the {len(self.thresholds)} of np.arange(0, 1, 1 / num_thresholds), or 1, "
                f"got {threshold!r}; with another num_thresholds it may be"
            )
        return at

    def as_number(self, value: Any) -> Tensor:  # noqa: ANN401
        """Return a float64 tensor on the metric's device."""
        return torch.as_tensor(value, dtype=torch.float64, device=self.settings_json.device)


class PixelCounts(ThresholdedPixels):
    """Pixels of objects and of background by their scores, over all images.

    Args:
        num_thresholds: thresholds are ``np.arange(0, 1, 1 / num_thresholds)``.
        **kwargs: of ``torchmetrics.Metric``.

    Raises:
        ValueError: fewer than one threshold.
    """

    counts: Tensor

    def __init__(self, num_thresholds: int, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(num_thresholds, **kwargs)
        self.add_sum("counts", 2, self.bins)

    def update(
        self,
        maps: ArrayLike,
        masks: MasksLike,
        *,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Count the pixels of a batch.

        Args:
            maps: (N, H, W) in [0, 1], used as given; with ``size`` raw maps (N, h, w), resized and normalized as
                :func:`sweep` does.
            masks: (N, H, W) uint8 or another integer type: 1 object, 0 background, 255 ignored; or bool: object or not.
                :class:`fastcam.PackedMasks` and lists of COCO's run lengths are read as bool.
            size: (H, W), the masks' own, where maps are raw.

        Raises:
            TypeError: maps that are not of a floating-point type.
            ValueError: a wrong shape, another value in a mask, a map that leaves [0, 1] or holds a NaN where no
                ``size`` is given.
        """
        (counts,) = self.histograms(maps, masks, size, of_each=False)
        self.counts.add_(counts.to(self.counts.device))

    def ious(self) -> npt.NDArray[np.float64]:
        """Return the IoU of the pixels at or above each threshold with the objects; see :func:`ious_of`."""
        return ious_of(self.counts)

    def has_objects(self) -> bool:
        """Whether an object pixel was counted; a warning that recall means nothing where images had none."""
        if int(self.counts[1].sum()):
            return True
        if self.update_called:  # before the first update torchmetrics has warned already
            self.warn_of_nan("has counted no object pixel, so that recall means nothing")
        return False

    def precisions(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the numbers and the curves by name, NaN where no object pixel was counted."""
        there = self.has_objects()
        background, objects = self.counts.cpu().numpy()[:, ::-1].cumsum(axis=1)
        kept = objects + background
        with np.errstate(invalid="ignore"):
            precision, recall = objects / kept, objects / objects[-1]
        steps = (precision[1:] * np.diff(recall))[kept[1:] != 0]
        found = {"pxap": steps.sum() if there else np.nan, "peak_iou": self.ious().max() if there else np.nan}
        return self._tensors(found), self._tensors({"precision": precision, "recall": recall})

    def _tensors(self, found: dict[str, Any]) -> dict[str, Tensor]:
        return {name: self.as_number(value) for name, value in found.items()}


def ious_of(counts: Tensor) -> npt.NDArray[np.float64]:
    """IoU of what lies at or above each threshold with the objects: intersection over union, ignored pixels left out.

    Args:
        counts: (2, bins), pixels of background and of objects.

    Returns:
        (bins,) float64, from the lowest threshold up; 0 where there is neither object nor anything kept.

    Example:
        >>> ious_of(torch.tensor([[2, 1, 0], [1, 0, 3]])).tolist()  # 4 of 7, 3 of 5, 3 of 4
        [0.5714285714285714, 0.6, 0.75]
    """
    background, objects = counts.cpu().numpy()[:, ::-1].cumsum(axis=1)[:, ::-1]
    union = objects[0] + background
    return np.asarray(objects / np.where(union, union, 1), dtype=np.float64)
