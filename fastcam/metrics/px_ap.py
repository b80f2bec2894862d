"""PxAP: pixel average precision of score maps over a whole data set, and the peak IoU of their masks."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from fastcam.metrics.curves import CurveMetric, checked_number
from fastcam.metrics.pixel_counts import PixelCounts

__all__ = ["PxAP", "PxAPScore"]


class PxAP(CurveMetric, PixelCounts):
    """Pixel average precision of Choe et al. (CVPR 2020), digit for digit that of wsolevaluation.

    Every pixel of the data set goes into one of two histograms, of objects and of background, whose bins begin at the
    thresholds ``np.arange(0, 1, 1 / num_thresholds)`` and at 1 and 2 and end at 3. Precision and recall are those of
    the pixels at or above a threshold, over the whole data set; PxAP is the sum of the precisions, each times the
    recall that the threshold adds.

    Under percentile as a standard (PaS, Eq. 6) PxAP is not defined by the paper, for it has no threshold left to vary.
    The choice here: what PaS changes is the scale of a map, so give maps divided by their percentile and clipped to
    [0, 1]; the threshold that PxAP varies is then theta of Eq. 6.

    Args:
        num_thresholds: see above.
        **kwargs: of ``torchmetrics.Metric``.

    ``compute()`` gives a dictionary of float64: ``pxap``, and ``peak_iou``, the highest IoU over the thresholds of the
    pixels kept with the objects. ``compute(curves=True)`` adds ``precision`` and ``recall`` (num_thresholds + 2,), from
    the highest threshold down, the precision NaN where nothing is kept. Without any object pixel ``pxap``, ``peak_iou``
    and the recall mean nothing: they are NaN, with a warning. :class:`PxAPScore` gives one of the numbers alone, and
    :class:`fastcam.metrics.MaskIoU` the IoU at a fixed threshold, of the same counts.

    Raises:
        ValueError: fewer than one threshold.

    Example:
        >>> import torch
        >>> from fastcam.metrics import PxAP
        >>> metric = PxAP()
        >>> metric.update(torch.tensor([[[0.9, 0.6, 0.3]]]), torch.tensor([[[1, 0, 1]]], dtype=torch.uint8))
        >>> {name: round(metric.compute()[name].item(), 4) for name in ("pxap", "peak_iou")}
        {'pxap': 0.8333, 'peak_iou': 0.6667}
    """

    def __init__(self, num_thresholds: int = 1000, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(num_thresholds, **kwargs)

    def compute(self, *, curves: bool = False) -> dict[str, Tensor]:
        """Return PxAP and the peak IoU, and the curves if asked for; see the class."""
        numbers, lines = self.precisions()
        return {**numbers, **lines} if curves else numbers

    @staticmethod
    def is_curve(name: str) -> bool:
        """Whether this is the name of a curve, not of a number."""
        return name in ("precision", "recall")

    def curves_to_draw(self) -> tuple[dict[str, tuple[Tensor, Tensor]], tuple[str, str]]:
        """Return precision against recall."""
        found = self.compute(curves=True)
        return {f"PxAP {found['pxap'].item():.3f}": (found["recall"], found["precision"])}, ("recall", "precision")


class PxAPScore(PixelCounts):
    """One number of :class:`PxAP` as a single value: for trackers, bootstrapping and loggers.

    Args:
        number: which: ``"pxap"`` or ``"peak_iou"``.
        num_thresholds: as :class:`PxAP`.
        **kwargs: of ``torchmetrics.Metric``.

    ``update`` is that of :class:`PxAP`; ``compute()`` gives a fraction in [0, 1], float64; NaN without object pixels.
    In a ``torchmetrics.MetricCollection`` it shares the counts of a :class:`PxAP` of the same settings.

    Raises:
        ValueError: another ``number``; fewer than one threshold.

    Example:
        >>> import torch
        >>> from fastcam.metrics import PxAPScore
        >>> metric = PxAPScore("peak_iou")
        >>> metric.update(torch.tensor([[[0.9, 0.6, 0.3]]]), torch.tensor([[[True, False, True]]]))
        >>> round(metric.compute().item(), 4)
        0.6667
    """

    def __init__(
        self,
        number: Literal["pxap", "peak_iou"] = "pxap",
        num_thresholds: int = 1000,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(num_thresholds, **kwargs)
        self.number = checked_number(number, ["pxap", "peak_iou"])

    def compute(self) -> Tensor:
        """Return the number."""
        return self.precisions()[0][self.number]
