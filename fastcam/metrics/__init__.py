"""The field's numbers, as torchmetrics: sums of fixed size on every process, so that they reduce without a gather."""

from fastcam.metrics.gt_known import GTKnownLoc
from fastcam.metrics.max_box_acc import MaxBoxAcc, MaxBoxAccScore, MaxBoxAccV2, MaxBoxAccV2Score
from fastcam.metrics.px_ap import PxAP, PxAPScore
from fastcam.metrics.swept import Swept, sweep
from fastcam.metrics.top_k_accuracy import TopKAccuracy
from fastcam.metrics.top_k_loc import TopKLoc

__all__ = [
    "GTKnownLoc",
    "MaxBoxAcc",
    "MaxBoxAccScore",
    "MaxBoxAccV2",
    "MaxBoxAccV2Score",
    "PxAP",
    "PxAPScore",
    "Swept",
    "TopKAccuracy",
    "TopKLoc",
    "sweep",
]
