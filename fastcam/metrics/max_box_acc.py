"""MaxBoxAcc and MaxBoxAccV2: the accuracy of boxes at the threshold that suits the whole data set best."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastcam.metrics.arguments import checked_correct
from fastcam.metrics.metric import SumMetric
from fastcam.metrics.swept import Swept, sweep

__all__ = ["MaxBoxAcc", "MaxBoxAccV2"]

_VARIANTS = ("", "top1_", "top5_")


class MaxBoxAcc(SumMetric):
    """MaxBoxAcc of Choe et al. (CVPR 2020), digit for digit that of wsolevaluation, at all thresholds in one pass.

    An image counts as right at a threshold where the IoU of its box with one of its ground-truth boxes reaches the
    IoU threshold; MaxBoxAcc is the share of right images at the best threshold for all. The threshold is chosen on the
    very boxes it is judged by: an oracle.

    Args:
        iou_thresholds: IoUs at which a box is right.
        multi_contour: any outer or hole contour may give the box (V2), not the largest one alone (V1).
        num_thresholds: thresholds are ``np.arange(0, 1, 1 / num_thresholds)``.
        **kwargs: of ``torchmetrics.Metric``.

    ``compute()`` gives a dictionary of float64, fractions in [0, 1]: for IoU 0.5 ``max_box_acc_50``, the
    ``best_threshold_50`` (the first of equals) and ``curve_50``, the accuracy at every threshold; ``max_box_acc``, the
    mean over the IoU thresholds; and, where ``correct`` was given, the same with ``top1_`` and ``top5_`` in front, for
    which the image must have been classified rightly as well. Before the first image all of them are NaN.

    Raises:
        ValueError: an IoU threshold outside (0, 1], none, two that are equal; fewer than one threshold.

    Example:
        >>> import torch
        >>> from fastcam.metrics import MaxBoxAcc
        >>> metric = MaxBoxAcc()
        >>> scores = torch.zeros(2, 8, 8)
        >>> scores[:, 2:6, 1:5] = 1
        >>> metric.update(scores, [[[1, 2, 5, 6]], [[3, 0, 7, 4], [0, 0, 2, 3]]])
        >>> metric.compute()["max_box_acc_50"].item()
        0.5
    """

    right: Tensor
    images: Tensor
    graded: Tensor

    def __init__(
        self,
        iou_thresholds: Sequence[float] = (0.5,),
        multi_contour: bool = False,
        num_thresholds: int = 1000,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.iou_thresholds = _checked_ious(iou_thresholds)
        self.multi_contour = bool(multi_contour)
        self.thresholds = checked_thresholds(num_thresholds)
        self.add_sum("right", len(_VARIANTS), len(self.iou_thresholds), len(self.thresholds))
        self.add_sum("images")
        self.add_sum("graded")

    def update(
        self,
        maps: Tensor | npt.NDArray[np.floating[Any]] | Swept,
        boxes: Sequence[Any] | Tensor | None = None,
        *,
        size: tuple[int, int] | None = None,
        correct: Tensor | npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Count a batch.

        Args:
            maps: score maps (N, h, w), or what :func:`sweep` found for them, which several metrics may share.
            boxes: the ground truth of every image, (G, 4), as :func:`sweep` takes it.
            size: (H, W) of the evaluated maps, where the given ones are raw.
            correct: (N, 2) bool: whether the class was right in the first place, and among the first five. Either
                every batch comes with it or none.

        Raises:
            TypeError: see :func:`sweep`; boxes missing.
            ValueError: see :func:`sweep`; ``correct`` of another shape or type; a ``Swept`` without what is counted.
        """
        swept = self._swept(maps, boxes, size)
        iou = swept.iou_of_any if self.multi_contour else swept.iou
        if iou is None:
            raise ValueError(f"maps was swept without {'multi_contour' if self.multi_contour else 'largest'}=True")
        graded = [torch.ones(len(swept), dtype=torch.bool, device=iou.device)]
        if correct is not None:
            graded += checked_correct(correct, len(swept)).to(iou.device).unbind(dim=1)
        # Which threshold means which entry depends on the highest level alone.
        counts = torch.zeros_like(self.right)
        limits = torch.tensor(self.iou_thresholds, dtype=torch.float64, device=iou.device)
        hits = iou[:, None] >= limits[:, None]
        for maximum in swept.maxima.unique().tolist():
            these = swept.maxima == maximum
            entry = torch.from_numpy((self.thresholds * maximum).astype(np.int64)).to(iou.device)
            for variant, right in enumerate(graded):
                by_entry = hits[these & right].sum(dim=0)
                counts[variant] += by_entry[:, entry].to(counts.device)
        self.right += counts
        self.images += len(swept)
        if correct is not None:
            self.graded += len(swept)

    def compute(self) -> dict[str, Tensor]:
        """Return the accuracies, best thresholds and curves; see the class.

        Raises:
            ValueError: some batches came with ``correct`` and others without.
        """
        images, graded = int(self.images), int(self.graded)
        if graded not in (0, images):
            raise ValueError(f"correct must come with every batch or with none, got it for {graded} of {images} images")
        found: dict[str, Tensor] = {}
        for variant, prefix in enumerate(_VARIANTS if graded else _VARIANTS[:1]):
            found |= self._of_variant(prefix, self.right[variant].to(torch.float64) / self.images)
        return found

    def _swept(
        self,
        maps: Tensor | npt.NDArray[np.floating[Any]] | Swept,
        boxes: Sequence[Any] | Tensor | None,
        size: tuple[int, int] | None,
    ) -> Swept:
        if isinstance(maps, Swept):
            if boxes is not None or size is not None:
                raise TypeError("maps are swept already, so boxes and size must not be given")
            return maps
        if boxes is None:
            raise TypeError("boxes must hold one (G, 4) for each image, got None")
        return sweep(maps, boxes, size=size, largest=not self.multi_contour, multi_contour=self.multi_contour)

    def _wrap_compute(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        whole = super()._wrap_compute(compute)

        @functools.wraps(whole)
        def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            # torchmetrics takes the dimension off what has a single value; a curve keeps its.
            return {
                name: value.reshape(-1) if "curve" in name else value for name, value in whole(*args, **kwargs).items()
            }

        return wrapped

    def _of_variant(self, prefix: str, curves: Tensor) -> dict[str, Tensor]:
        found, best = {}, []
        for iou, curve in zip(self.iou_thresholds, curves, strict=True):
            at = int(curve.argmax())
            best.append(curve[at])
            name = f"{iou * 100:g}"
            found[f"{prefix}max_box_acc_{name}"] = curve[at]
            found[f"{prefix}best_threshold_{name}"] = curve.new_tensor(self.thresholds[at])
            found[f"{prefix}curve_{name}"] = curve
        found[f"{prefix}max_box_acc"] = torch.stack(best).mean()
        return found


class MaxBoxAccV2(MaxBoxAcc):
    """MaxBoxAccV2 of Choe et al. (TPAMI 2022): any contour may give the box, mean over the IoUs 0.3, 0.5 and 0.7.

    :class:`MaxBoxAcc` with other defaults.

    Example:
        >>> import torch
        >>> from fastcam.metrics import MaxBoxAccV2
        >>> metric = MaxBoxAccV2()
        >>> scores = torch.zeros(1, 8, 8)
        >>> scores[0, 2:6, 1:5] = 1
        >>> metric.update(scores, [[[1, 2, 7, 6]]])  # IoU 25 / 35
        >>> {name: value.item() for name, value in metric.compute().items() if "acc" in name}
        {'max_box_acc_30': 1.0, 'max_box_acc_50': 1.0, 'max_box_acc_70': 1.0, 'max_box_acc': 1.0}
    """

    def __init__(
        self,
        iou_thresholds: Sequence[float] = (0.3, 0.5, 0.7),
        multi_contour: bool = True,
        num_thresholds: int = 1000,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(iou_thresholds, multi_contour, num_thresholds, **kwargs)


def checked_thresholds(num_thresholds: int) -> npt.NDArray[np.float64]:
    """``np.arange(0, 1, 1 / num_thresholds)``."""
    if isinstance(num_thresholds, bool) or not isinstance(num_thresholds, int) or num_thresholds < 1:
        raise ValueError(f"num_thresholds must be a whole number, at least 1, got {num_thresholds!r}")
    return np.arange(0, 1, 1 / num_thresholds)


def _checked_ious(iou_thresholds: Sequence[float]) -> tuple[float, ...]:
    ious = tuple(float(iou) for iou in iou_thresholds)
    if not ious or not all(0 < iou <= 1 for iou in ious) or len(set(ious)) < len(ious):
        raise ValueError(f"iou_thresholds must be distinct numbers in (0, 1], at least one, got {iou_thresholds!r}")
    return ious
