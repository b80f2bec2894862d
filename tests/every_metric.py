"""Every metric, and batches that all of them can count."""

from __future__ import annotations

import torch
from torch.nn.utils.rnn import pad_sequence

from fastcam.metrics import (
    EnergyInBox,
    GTKnownLoc,
    MaskIoU,
    MaxBoxAcc,
    MaxBoxAccScore,
    MaxBoxAccV2,
    MaxBoxAccV2Score,
    MeanMaskIoU,
    PointingGame,
    PxAP,
    PxAPScore,
    TopKAccuracy,
    TopKLoc,
)

SIZE = (40, 40)


def batch(count=6, seed=0):
    """Arguments of every metric, from which each takes its own."""
    random = torch.Generator().manual_seed(seed)
    corners = torch.randint(0, 20, (count, 2, 4), generator=random)
    boxes = pad_sequence(
        [one[: 1 + i % 2].double() + torch.tensor([0, 0, 20, 19]) for i, one in enumerate(corners)],
        batch_first=True,
        padding_value=torch.nan,
    )
    scores = torch.rand(count, 5, generator=random)
    return {
        "maps": torch.rand(count, 6, 6, generator=random),
        "size": SIZE,
        "masks": torch.rand(count, *SIZE, generator=random) < 0.3,
        "boxes": boxes,
        "correct": torch.rand(count, 2, generator=random) < 0.5,
        "found": boxes[:, 0] + torch.randint(0, 9, (count, 4), generator=random),
        "predicted": scores.argsort(descending=True),
        "labels": torch.randint(0, 5, (count,), generator=random),
        "preds": scores,
        "target": torch.randint(0, 5, (count,), generator=random),
    }


def counted(metric, *batches):
    for given in batches:
        metric.update(**metric._filter_kwargs(**given))
    return metric


ONE = {
    "max_box_acc": MaxBoxAccScore,
    "max_box_acc_30": lambda: MaxBoxAccScore("max_box_acc_30", (0.3, 0.7)),
    "top5_max_box_acc_50": lambda: MaxBoxAccScore("top5_max_box_acc_50"),
    "max_box_acc_v2": MaxBoxAccV2Score,
    "max_box_acc_70": lambda: MaxBoxAccV2Score("max_box_acc_70"),
    "pxap": PxAPScore,
    "peak_iou": lambda: PxAPScore("peak_iou", 10),
    "mask_iou": lambda: MaskIoU(0.3),
    "mean_mask_iou": lambda: MeanMaskIoU(0.3),
    "mean_peak_iou": lambda: MeanMaskIoU(num_thresholds=10),
    "pointing": lambda: PointingGame(2),
    "pointing, masks": lambda: PointingGame(0, truth="masks"),
    "pointing, classes": lambda: PointingGame(2, average="classes", num_classes=5),
    "energy": EnergyInBox,
    "energy, masks": lambda: EnergyInBox(truth="masks"),
    "known": lambda: GTKnownLoc(0.7),
    "top_k": lambda: TopKLoc(3, box="true", iou_threshold=0.7),
    "accuracy": lambda: TopKAccuracy(2, num_classes=5),
}
SEVERAL = {
    "V1": (lambda: MaxBoxAcc((0.3, 0.5)), ("top1_max_box_acc_30", "max_box_acc_50", "max_box_acc"), MaxBoxAccScore),
    "V2": (MaxBoxAccV2, ("max_box_acc", "top5_max_box_acc", "max_box_acc_30"), MaxBoxAccV2Score),
    "V2 by size": (lambda: MaxBoxAccV2(size_limits=(0.2, 0.4)), ("max_box_acc", "max_box_acc_30"), MaxBoxAccV2Score),
    "pixels": (PxAP, ("pxap", "peak_iou"), PxAPScore),
}
EVERY = {**ONE, **{name: make for name, (make, _, _) in SEVERAL.items()}}
