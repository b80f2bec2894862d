"""PxAP: pixel average precision of score maps over a whole data set, and the peak IoU of their masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastcam.metrics.arguments import checked_maps, outside_error
from fastcam.metrics.max_box_acc import checked_thresholds
from fastcam.metrics.metric import SumMetric
from fastcam.ops.score_maps import IGNORED, score_histogram

__all__ = ["PxAP"]


class PxAP(SumMetric):
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

    ``compute()`` gives a dictionary of float64: ``pxap``; ``peak_iou``, the highest IoU over the thresholds of the
    pixels kept with the objects; and ``precision`` and ``recall`` (num_thresholds + 2,), from the highest threshold
    down, the precision NaN where nothing is kept.

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

    counts: Tensor

    def __init__(self, num_thresholds: int = 1000, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.thresholds = checked_thresholds(num_thresholds)
        self._edges = torch.from_numpy(np.append(self.thresholds, [1.0, 2.0, 3.0]))
        self.add_sum("counts", 2, len(self._edges) - 1)

    def update(
        self,
        maps: Tensor | npt.NDArray[np.floating[Any]],
        masks: Tensor | npt.NDArray[np.uint8],
        *,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Count the pixels of a batch.

        Args:
            maps: (N, H, W) in [0, 1], used as given; with ``size`` raw maps (N, h, w), resized and normalized as
                :func:`sweep` does.
            masks: (N, H, W) uint8: 1 object, 0 background, 255 ignored.
            size: (H, W), the masks' own, where maps are raw.

        Raises:
            TypeError: maps that are not of a floating-point type.
            ValueError: a wrong shape, another value in a mask, a map that leaves [0, 1] or holds a NaN where no
                ``size`` is given.
        """
        given, truth = checked_maps(maps), torch.as_tensor(masks).detach()
        shape = tuple(given.shape[1:] if size is None else size)
        if truth.dtype != torch.uint8 or truth.shape != (len(given), *shape):
            raise ValueError(
                f"masks must be {(len(given), *shape)} uint8, got {truth.dtype} of shape {tuple(truth.shape)}"
            )
        edges = self._edges.to(given.device)
        counts, inside, known = score_histogram(given, truth.to(given.device), edges, size is not None)
        if not (inside & known).all():
            if not inside.all():
                raise outside_error(inside, given)
            raise ValueError(f"masks must hold 0, 1 and {IGNORED}, got {sorted(truth.unique().tolist())}")
        self.counts.add_(counts.to(self.counts.device))

    def compute(self) -> dict[str, Tensor]:
        """Return PxAP, the peak IoU and the curves; see the class.

        Raises:
            RuntimeError: no object pixel has been counted, for which precision and recall mean nothing.
        """
        background, objects = self.counts.cpu().numpy()[:, ::-1].cumsum(axis=1)
        if objects[-1] == 0:
            raise RuntimeError("PxAP needs at least one object pixel, got none in all masks")
        kept = objects + background
        with np.errstate(invalid="ignore"):
            precision = objects / kept
        recall = objects / objects[-1]
        steps = (precision[1:] * np.diff(recall))[kept[1:] != 0]
        peak = (objects / (objects[-1] + background)).max()
        found = {"pxap": steps.sum(), "peak_iou": peak, "precision": precision, "recall": recall}
        return {name: torch.as_tensor(value, device=self.counts.device) for name, value in found.items()}
