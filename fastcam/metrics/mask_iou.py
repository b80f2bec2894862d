"""IoU of thresholded score maps with masks, at a fixed threshold or the best: over all pixels, or a mean of images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastcam.arrays import ArrayLike
from fastcam.metrics.arguments import MasksLike
from fastcam.metrics.pixel_counts import PixelCounts, ThresholdedPixels, ious_of
from fastcam.metrics.shares import mean_of_units, units

__all__ = ["MaskIoU", "MeanMaskIoU"]


class MaskIoU(PixelCounts):
    """IoU of the pixels at or above a threshold with the objects, over all pixels of the data set.

    ``IoU(t) = kept object pixels / (object pixels + kept background pixels)``, with ignored pixels left out. Its
    highest value over the thresholds is the peak IoU (pIoU; Peak-IoU of Zhang, Wei and Yang, "Rethinking Localization
    Map", arXiv 2006.05220, 2020, whose curve over thresholds it is the top of), counted over the data set as the
    evaluator of Zhu et al. (CVPR 2022) does: an oracle, as the threshold is chosen on the very masks it is judged by.

    Args:
        threshold: one of the thresholds, or 1; None: the best one, which gives the peak IoU.
        num_thresholds: thresholds are ``np.arange(0, 1, 1 / num_thresholds)``.
        **kwargs: of ``torchmetrics.Metric``.

    ``update`` is that of :class:`PxAP`; ``compute()`` gives a fraction in [0, 1], float64; NaN, with a warning, where
    no object pixel was counted. In a ``torchmetrics.MetricCollection`` it shares the counts of a :class:`PxAP` and of
    other thresholds, so that all of them cost one pass over the maps.

    Raises:
        ValueError: a ``threshold`` that is none of the thresholds; fewer than one threshold.

    Example:
        >>> import torch
        >>> from fastcam.metrics import MaskIoU
        >>> maps, masks = torch.tensor([[[0.9, 0.6, 0.3]]]), torch.tensor([[[True, False, True]]])
        >>> for threshold in (None, 0.5):
        ...     metric = MaskIoU(threshold)
        ...     metric.update(maps, masks)
        ...     round(metric.compute().item(), 4)
        0.6667
        0.3333
    """

    def __init__(self, threshold: float | None = None, num_thresholds: int = 1000, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(num_thresholds, **kwargs)
        self._at = None if threshold is None else self.entry(threshold)
        self.threshold = threshold

    def compute(self) -> Tensor:
        """Return the IoU."""
        if not self.has_objects():
            return self.as_number(torch.nan)
        ious = self.ious()
        return self.as_number(ious.max() if self._at is None else ious[self._at])


class MeanMaskIoU(ThresholdedPixels):
    """Mean over the images of the IoU of the pixels at or above a threshold with the image's objects.

    Every image counts alike, whatever the size of its objects, where in :class:`MaskIoU` every pixel does. The
    threshold is the same for all images; the peak is that of the mean. An image without an object pixel has nothing to
    find and is left out.

    Args:
        threshold: one of the thresholds, or 1; None: the one whose mean is best.
        num_thresholds: thresholds are ``np.arange(0, 1, 1 / num_thresholds)``.
        **kwargs: of ``torchmetrics.Metric``.

    ``compute()`` gives a fraction in [0, 1], float64; NaN before the first image, and with a warning where no image had
    an object pixel. An image's IoU is rounded to 2**-40, so that the sum is exact in any order.

    Raises:
        ValueError: a ``threshold`` that is none of the thresholds; fewer than one threshold.

    Example:
        >>> import torch
        >>> from fastcam.metrics import MeanMaskIoU
        >>> metric = MeanMaskIoU(0.5)
        >>> maps = torch.tensor([[[0.9, 0.6, 0.3]], [[0.7, 0.1, 0.8]]])
        >>> metric.update(maps, torch.tensor([[[True, False, True]], [[True, False, True]]]))
        >>> round(metric.compute().item(), 4)  # 1 of 3, and 2 of 2
        0.6667
    """

    sums: Tensor
    images: Tensor
    without_objects: Tensor

    def __init__(self, threshold: float | None = None, num_thresholds: int = 1000, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(num_thresholds, **kwargs)
        self._at = None if threshold is None else self.entry(threshold)
        self.threshold = threshold
        self.add_sum("sums", self.bins)
        self.add_sum("images")
        self.add_sum("without_objects")

    def update(self, maps: ArrayLike, masks: MasksLike, *, size: tuple[int, int] | None = None) -> None:
        """Count the images of a batch; the arguments are those of :class:`PxAP`.

        Raises:
            TypeError: see :class:`PxAP`.
            ValueError: likewise.
        """
        every = self.histograms(maps, masks, size, of_each=True)
        counted = [counts for counts in every if int(counts[1].sum())]
        for counts in counted:
            self.sums += units(torch.from_numpy(ious_of(counts))).to(self.sums.device)
        self.images += len(counted)
        self.without_objects += len(every) - len(counted)

    def compute(self) -> Tensor:
        """Return the mean IoU."""
        self.warn_of_no_objects(self.images, self.without_objects)
        return mean_of_units(self.sums.max() if self._at is None else self.sums[self._at], self.images)
