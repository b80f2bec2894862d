"""The field's numbers, as torchmetrics: sums of fixed size on every process, so that they reduce without a gather.

:class:`MaxBoxAcc`, :class:`MaxBoxAccV2` and :class:`PxAP` compute several numbers by name, which ``self.log_dict`` of
Lightning takes; their curves come with ``compute(curves=True)`` and are what ``plot()`` draws. Where one number is
wanted (``self.log``, ``MetricTracker``, ``MinMaxMetric``, ``BootStrapper``) :class:`MaxBoxAccScore`,
:class:`MaxBoxAccV2Score` and :class:`PxAPScore` give it; :class:`MaskIoU`, :class:`MeanMaskIoU`, :class:`PointingGame`
and :class:`EnergyInBox` are single values as they are. In a ``MetricCollection`` metrics that count alike share their
counts, and others stay apart. ``BootStrapper`` draws from tensors alone: give it the boxes as one tensor (N, G, 4),
filled up with NaN.

Settings are part of ``state_dict``: a state that was counted with others is refused.
"""

from fastcam.metrics.energy_in_box import EnergyInBox
from fastcam.metrics.gt_known import GTKnownLoc
from fastcam.metrics.mask_iou import MaskIoU, MeanMaskIoU
from fastcam.metrics.max_box_acc import MaxBoxAcc, MaxBoxAccScore, MaxBoxAccV2, MaxBoxAccV2Score
from fastcam.metrics.pointing_game import PointingGame
from fastcam.metrics.px_ap import PxAP, PxAPScore
from fastcam.metrics.swept import Swept, sweep
from fastcam.metrics.top_k_accuracy import TopKAccuracy
from fastcam.metrics.top_k_loc import TopKLoc

__all__ = [
    "EnergyInBox",
    "GTKnownLoc",
    "MaskIoU",
    "MaxBoxAcc",
    "MaxBoxAccScore",
    "MaxBoxAccV2",
    "MaxBoxAccV2Score",
    "MeanMaskIoU",
    "PointingGame",
    "PxAP",
    "PxAPScore",
    "Swept",
    "TopKAccuracy",
    "TopKLoc",
    "sweep",
]
