"""The field's numbers, as torchmetrics: sums of fixed size on every process, so that they reduce without a gather."""

from fastcam.metrics.gt_known import GTKnownLoc
from fastcam.metrics.max_box_acc import MaxBoxAcc, MaxBoxAccV2
from fastcam.metrics.px_ap import PxAP
from fastcam.metrics.swept import Swept, sweep
from fastcam.metrics.top_k_accuracy import TopKAccuracy
from fastcam.metrics.top_k_loc import TopKLoc

__all__ = ["GTKnownLoc", "MaxBoxAcc", "MaxBoxAccV2", "PxAP", "Swept", "TopKAccuracy", "TopKLoc", "sweep"]
