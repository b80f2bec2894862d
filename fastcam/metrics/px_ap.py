"""PxAP: pixel average precision of score maps over a whole data set, and the peak IoU of their masks."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn

from fastcam.arrays import ArrayLike
from fastcam.metrics.arguments import checked_maps, checked_masks, checked_thresholds, outside_error, values_error
from fastcam.metrics.curves import CurveMetric, checked_number
from fastcam.metrics.metric import SumMetric
from fastcam.ops.score_maps import score_histogram
from fastcam.sizes import checked_size

__all__ = ["PixelCounts", "PxAP", "PxAPScore"]


class PixelCounts(SumMetric):
    """Pixels of objects and of background by their scores.

    Args:
        num_thresholds: thresholds are ``np.arange(0, 1, 1 / num_thresholds)``.
        **kwargs: of ``torchmetrics.Metric``.

    Raises:
        ValueError: fewer than one threshold.
    """

    counts: Tensor

    def __init__(self, num_thresholds: int, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.thresholds = checked_thresholds(num_thresholds)
        self._edges = torch.from_numpy(np.append(self.thresholds, [1.0, 2.0, 3.0]))
        self.record_settings(num_thresholds=int(num_thresholds))
        self.add_sum("counts", 2, len(self._edges) - 1)

    def update(
        self,
        maps: ArrayLike,
        masks: ArrayLike,
        *,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Count the pixels of a batch.

        Args:
            maps: (N, H, W) in [0, 1], used as given; with ``size`` raw maps (N, h, w), resized and normalized as
                :func:`sweep` does.
            masks: (N, H, W) uint8 or another integer type: 1 object, 0 background, 255 ignored; or bool: object or not.
            size: (H, W), the masks' own, where maps are raw.

        Raises:
            TypeError: maps that are not of a floating-point type.
            ValueError: a wrong shape, another value in a mask, a map that leaves [0, 1] or holds a NaN where no
                ``size`` is given.
        """
        given = checked_maps(maps)
        height, width = given.shape[1:] if size is None else checked_size(size)
        truth = checked_masks(masks, len(given), (height, width))
        edges = self._edges.to(given.device)
        counts, inside, known = score_histogram(given, truth.to(given.device), edges, size is not None)
        if not (inside & known).all():
            if not inside.all():
                raise outside_error(inside, given)
            raise values_error(truth)
        self.counts.add_(counts.to(self.counts.device))

    def precisions(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the numbers and the curves by name, NaN where no object pixel was counted."""
        background, objects = self.counts.cpu().numpy()[:, ::-1].cumsum(axis=1)
        if objects[-1] == 0 and self.update_called:  # before the first update torchmetrics has warned already
            rank_zero_warn(
                f"{type(self).__name__} has counted no object pixel, so that recall means nothing: returning NaN",
                UserWarning,
            )
        kept = objects + background
        with np.errstate(invalid="ignore"):
            precision, recall = objects / kept, objects / objects[-1]
            peak = (objects / (objects[-1] + background)).max() if objects[-1] else np.nan
        steps = (precision[1:] * np.diff(recall))[kept[1:] != 0]
        found = {"pxap": steps.sum() if objects[-1] else np.nan, "peak_iou": peak}
        return self._tensors(found), self._tensors({"precision": precision, "recall": recall})

    def _tensors(self, found: dict[str, Any]) -> dict[str, Tensor]:
        return {
            name: torch.as_tensor(value, dtype=torch.float64, device=self.counts.device)
            for name, value in found.items()
        }


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
    and the recall mean nothing: they are NaN, with a warning. :class:`PxAPScore` gives one of the numbers alone.

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
