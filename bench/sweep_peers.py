"""The evaluators of the field, written with OpenCV and NumPy: MaxBoxAcc, MaxBoxAccV2 and PxAP, an image at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

__all__ = [
    "THRESHOLDS",
    "boxes_above",
    "hits",
    "hits_of_distinct",
    "inclusive_iou",
    "levels_of",
    "normalized",
    "pixels",
]

Scores = npt.NDArray[np.float64]
Levels = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]

THRESHOLDS: Final = np.arange(0, 1, 1 / 1000)


def normalized(raw: npt.NDArray[np.floating], size: tuple[int, int]) -> Scores:
    """A raw map resized to (H, W) in float64, then to [0, 1]; a constant one, or one with a NaN, is zeros."""
    scores = cv2.resize(raw.astype(np.float64), (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    if np.isnan(scores).any() or scores.min() == scores.max():
        return np.zeros_like(scores)
    scores -= scores.min()
    scores /= scores.max()
    return scores


def levels_of(scores: Scores) -> Levels:
    return (scores * 255).astype(np.uint8)


def boxes_above(levels: Levels, threshold: int, multi_contour: bool) -> list[Box]:
    """Boxes of the contours of what is above a threshold: all of them, holes included, or the largest one's."""
    height, width = levels.shape
    mask = cv2.threshold(levels, threshold, 255, cv2.THRESH_BINARY)[1]
    contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
    if not contours:
        return [(0, 0, 0, 0)]
    if not multi_contour:
        contours = [max(contours, key=cv2.contourArea)]
    boxes = []
    for x, y, w, h in map(cv2.boundingRect, contours):
        boxes.append((x, y, min(x + w, width - 1), min(y + h, height - 1)))
    return boxes


def inclusive_iou(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """IoU (N, M) of boxes whose x1 and y1 are the last pixels inside."""
    width = np.minimum(a[:, None, 2], b[:, 2]) - np.maximum(a[:, None, 0], b[:, 0]) + 1
    height = np.minimum(a[:, None, 3], b[:, 3]) - np.maximum(a[:, None, 1], b[:, 1]) + 1
    both = np.maximum(0, width) * np.maximum(0, height)
    areas = [(boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1] - both
    return np.where(union > 0, both / np.maximum(union, 1), 0)


def hits(
    scores: Scores,
    truth: npt.NDArray[np.int64],
    *,
    multi_contour: bool,
    ious: Sequence[float],
    thresholds: Scores = THRESHOLDS,
) -> npt.NDArray[np.bool_]:
    """Whether an image is right at each IoU and each threshold, (K, T); a mask and its contours for every threshold."""
    levels = levels_of(scores)
    boxes = [boxes_above(levels, int(threshold * levels.max()), multi_contour) for threshold in thresholds]
    return _hits_of(boxes, truth, ious)


def hits_of_distinct(
    scores: Scores,
    truth: npt.NDArray[np.int64],
    *,
    multi_contour: bool,
    ious: Sequence[float],
    thresholds: Scores = THRESHOLDS,
) -> npt.NDArray[np.bool_]:
    """The same, with a mask for each distinct level only: what OpenCV can do at best."""
    levels = levels_of(scores)
    cuts = (thresholds * int(levels.max())).astype(np.int64)
    distinct, which = np.unique(cuts, return_inverse=True)
    boxes = [boxes_above(levels, int(cut), multi_contour) for cut in distinct]
    return _hits_of(boxes, truth, ious)[:, which]


def _hits_of(boxes: list[list[Box]], truth: npt.NDArray[np.int64], ious: Sequence[float]) -> npt.NDArray[np.bool_]:
    starts = np.cumsum([0] + [len(some) for some in boxes[:-1]])
    best = inclusive_iou(np.array([box for some in boxes for box in some]), truth).max(axis=1)
    by_threshold = np.maximum.reduceat(best, starts)
    return by_threshold >= np.array(ious)[:, None]


def pixels(scores: Scores, mask: npt.NDArray[np.uint8], thresholds: Scores = THRESHOLDS) -> npt.NDArray[np.int64]:
    """Histograms of the scores of background and of objects, (2, T + 2)."""
    edges = np.append(thresholds, [1.0, 2.0, 3.0])
    return np.stack([np.histogram(scores[mask == kind], edges)[0] for kind in (0, 1)])
