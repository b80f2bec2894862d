"""MaxBoxAcc and MaxBoxAccV2: the accuracy of boxes at the threshold that suits the whole data set best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastcam.metrics.box_counts import VARIANTS, BoxCounts, level_name
from fastcam.metrics.curves import CurveMetric, checked_number

__all__ = ["MaxBoxAcc", "MaxBoxAccScore", "MaxBoxAccV2", "MaxBoxAccV2Score"]


class MaxBoxAcc(CurveMetric, BoxCounts):
    """MaxBoxAcc of Choe et al. (CVPR 2020), digit for digit that of wsolevaluation, at all thresholds in one pass.

    An image counts as right at a threshold where the IoU of its box with one of its ground-truth boxes reaches the
    IoU threshold; MaxBoxAcc is the share of right images at the best threshold for all. The threshold is chosen on the
    very boxes it is judged by: an oracle.

    Args:
        iou_thresholds: IoUs at which a box is right.
        multi_contour: any outer or hole contour may give the box (V2), not the largest one alone (V1).
        num_thresholds: thresholds are ``np.arange(0, 1, 1 / num_thresholds)``.
        size_limits: two shares of the image, such as (0.1, 0.4): count small objects, medium ones from the first limit
            on, and large ones from the second on. An image's size is that of its largest box: the box's pixels, with
            x1 and y1 the last inside, by those of the evaluated map.
        **kwargs: of ``torchmetrics.Metric``.

    ``compute()`` gives a dictionary of float64, fractions in [0, 1]: for IoU 0.5 ``max_box_acc_50`` and the
    ``best_threshold_50`` (the first of equals); ``max_box_acc``, the mean over the IoU thresholds; and, where
    ``correct`` was given, the same with ``top1_`` and ``top5_`` in front, for which the image must have been classified
    rightly as well. ``compute(curves=True)`` adds ``curve_50``, the accuracy at every threshold. Before the first image
    all of them are NaN. :class:`MaxBoxAccScore` gives one of the accuracies alone.

    With ``size_limits`` there are also ``max_box_acc_50_small``, ``_medium`` and ``_large``, the share of right images
    among those of a size, at the threshold that is best for all images and not for that size; their means over the IoU
    thresholds ``max_box_acc_small``; and how many images there are, ``images_small``. The accuracy of a size that no
    image has is NaN.

    Raises:
        TypeError: ``iou_thresholds`` or ``size_limits`` that are no numbers.
        ValueError: an IoU threshold outside (0, 1], none, two that are equal; fewer than one threshold; limits that are
            not in order, or outside (0, 1].

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

    def __init__(
        self,
        iou_thresholds: Sequence[float] = (0.5,),
        multi_contour: bool = False,
        num_thresholds: int = 1000,
        *,
        size_limits: Sequence[float] | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(iou_thresholds, multi_contour, num_thresholds, size_limits=size_limits, **kwargs)

    def compute(self, *, curves: bool = False) -> dict[str, Tensor]:
        """Return the accuracies and best thresholds, and the curves if asked for; see the class.

        Raises:
            ValueError: some batches came with ``correct`` and others without.
        """
        numbers, lines = self.accuracies()
        numbers |= self.sizes()
        return {**numbers, **lines} if curves else numbers

    @staticmethod
    def is_curve(name: str) -> bool:
        """Whether this is the name of a curve, not of a number."""
        return "curve_" in name

    def curves_to_draw(self) -> tuple[dict[str, tuple[Tensor, Tensor]], tuple[str, str]]:
        """Return the accuracy at every threshold, a line for each IoU."""
        found = self.compute(curves=True)
        at = torch.from_numpy(self.thresholds)
        lines = {name.replace("curve_", "IoU "): (at, found[name]) for name in found if self.is_curve(name)}
        return lines, ("threshold", "accuracy")


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
        *,
        size_limits: Sequence[float] | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(iou_thresholds, multi_contour, num_thresholds, size_limits=size_limits, **kwargs)


class MaxBoxAccScore(BoxCounts):
    """One accuracy of :class:`MaxBoxAcc` as a single value: for trackers, bootstrapping and loggers.

    Args:
        number: which: ``"max_box_acc"``, the mean over the IoUs; ``"max_box_acc_50"``; or one of these with ``top1_``
            or ``top5_`` in front, for which every batch must come with ``correct``.
        iou_thresholds: as :class:`MaxBoxAcc`.
        multi_contour: likewise.
        num_thresholds: likewise.
        **kwargs: of ``torchmetrics.Metric``.

    ``update`` is that of :class:`MaxBoxAcc`; ``compute()`` gives a fraction in [0, 1], float64; NaN before the first
    image. In a ``torchmetrics.MetricCollection`` it shares the counts of a :class:`MaxBoxAcc` of the same settings.

    Raises:
        TypeError: ``iou_thresholds`` that are no numbers.
        ValueError: as :class:`MaxBoxAcc`; a ``number`` that it does not have.

    Example:
        >>> import torch
        >>> from fastcam.metrics import MaxBoxAccScore
        >>> metric = MaxBoxAccScore()
        >>> scores = torch.zeros(1, 8, 8)
        >>> scores[0, 2:6, 1:5] = 1
        >>> metric.update(scores, [[[1, 2, 5, 6]]])
        >>> metric.compute().item()
        1.0
    """

    def __init__(
        self,
        number: str = "max_box_acc",
        iou_thresholds: Sequence[float] = (0.5,),
        multi_contour: bool = False,
        num_thresholds: int = 1000,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(iou_thresholds, multi_contour, num_thresholds, **kwargs)
        levels = ["max_box_acc", *(f"max_box_acc_{level_name(iou)}" for iou in self.iou_thresholds)]
        self.number = checked_number(number, [f"{prefix}{level}" for prefix in VARIANTS for level in levels])
        self.needs_correct = number.startswith("top")

    def compute(self) -> Tensor:
        """Return the accuracy."""
        numbers, _ = self.accuracies()
        return numbers.get(self.number, self.images.to(torch.float64) * torch.nan)


class MaxBoxAccV2Score(MaxBoxAccScore):
    """One accuracy of :class:`MaxBoxAccV2` as a single value: :class:`MaxBoxAccScore` with its defaults.

    Example:
        >>> import torch
        >>> from fastcam.metrics import MaxBoxAccV2Score
        >>> metric = MaxBoxAccV2Score("max_box_acc_70")
        >>> scores = torch.zeros(1, 8, 8)
        >>> scores[0, 2:6, 1:5] = 1
        >>> metric.update(scores, [[[1, 2, 7, 6]]])  # IoU 25 / 35
        >>> metric.compute().item()
        1.0
    """

    def __init__(
        self,
        number: str = "max_box_acc",
        iou_thresholds: Sequence[float] = (0.3, 0.5, 0.7),
        multi_contour: bool = True,
        num_thresholds: int = 1000,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(number, iou_thresholds, multi_contour, num_thresholds, **kwargs)
