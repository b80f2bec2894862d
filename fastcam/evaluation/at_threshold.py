"""Boxes and masks of single images at thresholds that were chosen for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fastcam.data.record import Split
from fastcam.evaluation.reading import OnProgress, read_batches
from fastcam.evaluation.score_maps import ScoreMaps
from fastcam.evaluation.settings import Settings
from fastcam.evaluation.truth import Boxes
from fastcam.metrics import PxAP, sweep

__all__ = ["Found", "boxes_at", "mask_iou", "masks_at"]


@dataclass(frozen=True)
class Found:
    """An image's box at a threshold.

    Attributes:
        number: which record of the split.
        box: x0, y0, x1, y1 in evaluated pixels, as the evaluator of the field has them.
        iou: its best IoU with the ground truth.
        iou_of_any: that of any contour's box (V2).
    """

    number: int
    box: tuple[int, int, int, int]
    iou: float
    iou_of_any: float


def boxes_at(
    split: Split,
    maps: ScoreMaps,
    truth: Sequence[Boxes],
    settings: Settings,
    thresholds: tuple[float, float],
    *,
    on_progress: OnProgress = lambda _: None,
) -> Iterator[Found]:
    """Find each image's box at one threshold of the largest contour, and how well any contour fits at another.

    Args:
        split: whose images.
        maps: where their score maps are.
        truth: as :func:`evaluate_score_maps` takes it.
        settings: how.
        thresholds: in [0, 1), of V1 and of V2.
        on_progress: called with the number of images done since it was called last.

    Yields:
        The images that can be evaluated, those of a batch in any order.
    """
    for batch in read_batches(split, maps, truth, settings, lambda _: None, on_progress):
        swept = sweep(torch.from_numpy(batch.maps), batch.boxes(truth), size=batch.size)
        assert swept.iou is not None
        assert swept.boxes is not None
        assert swept.iou_of_any is not None
        entries = swept.entries(np.array(thresholds))
        rows = torch.arange(len(swept))
        at, at_any = entries.unbind(dim=1)
        table = swept.boxes[rows, at].tolist(), swept.iou[rows, at].tolist(), swept.iou_of_any[rows, at_any].tolist()
        for number, box, iou, iou_of_any in zip(batch.numbers.tolist(), *table, strict=True):
            yield Found(number, (box[0], box[1], box[2], box[3]), iou, iou_of_any)


def masks_at(
    split: Split,
    maps: ScoreMaps,
    truth: Sequence[Boxes],
    settings: Settings,
    threshold: float,
    *,
    on_progress: OnProgress = lambda _: None,
) -> Iterator[tuple[int, float]]:
    """For each image the IoU of its mask with what its score map has at or above a threshold.

    Args:
        split: whose images, with masks.
        maps: where their score maps are.
        truth: as :func:`evaluate_score_maps` takes it.
        settings: how.
        threshold: in [0, 1].
        on_progress: called with the number of images done since it was called last.

    Yields:
        The record's number and the IoU, ignored pixels left out; 0 where neither has a pixel.
    """
    for batch in read_batches(split, maps, truth, settings, lambda _: None, on_progress):
        assert batch.masks is not None
        for row, number in enumerate(batch.numbers.tolist()):
            metric = PxAP(settings.num_thresholds)
            metric.update(torch.from_numpy(batch.maps[row : row + 1]), batch.masks[row : row + 1], size=batch.size)
            yield number, mask_iou(metric, threshold)


def mask_iou(metric: PxAP, threshold: float) -> float:
    """IoU of the pixels at or above one of a metric's thresholds with the objects; 0 where neither has a pixel."""
    return float(metric.ious()[metric.entry(threshold)])
