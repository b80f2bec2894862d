"""Boxes of a score map at every threshold, and how well they fit: the evaluator of Choe et al. (MaxBoxAcc, V1 and V2).

A score map is evaluated as levels, 0 to 255. Threshold t keeps the pixels above it; a box is ``x0, y0, min(x1, W - 1),
min(y1, H - 1)`` of a contour whose half-open box is x0, y0, x1, y1, and 0, 0, 0, 0 stands for an empty mask.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastcam.reference.components import Component, Mask, components

__all__ = ["LEVELS", "contour_boxes", "inclusive_iou", "sweep"]

LEVELS = 256

Boxes = npt.NDArray[np.float64]
Levels = npt.NDArray[np.uint8]


def sweep(levels: Levels, truth: Boxes) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Boxes]:
    """At every threshold 0 to 255 of ``levels`` (H, W), for the ground truth (G, 4).

    Returns the best IoU of the largest contour (256,), the best IoU of any contour (256,), and the box of the largest
    contour (256, 4). Masks change only where the threshold is a level of the map.
    """
    of_largest, of_any, largest = np.zeros(LEVELS), np.zeros(LEVELS), np.zeros((LEVELS, 4))
    found = np.zeros((1, 4))
    for threshold in range(LEVELS):
        if threshold == 0 or (levels == threshold).any():
            found = contour_boxes(levels > threshold)
            overlaps = inclusive_iou(found, truth).max(axis=1)
        of_largest[threshold], of_any[threshold], largest[threshold] = overlaps[0], overlaps.max(), found[0]
    return of_largest, of_any, largest


def contour_boxes(mask: Mask) -> Boxes:
    """Boxes (M, 4) of all contours: of the largest polygon area first, then the other outer ones, then the holes.

    Of equal areas the contour whose first pixel comes last in raster order counts as the largest, as it falls with
    OpenCV. The contour of a hole lies in the pixels around it: its box is the hole's, one pixel larger on every side.
    """
    height, width = mask.shape
    outer = sorted(components(mask), key=_rank)[::-1]
    holes = [hole for hole in components(~np.pad(mask, 1), 4) if hole.x0 > 0 and hole.y0 > 0]
    boxes = [(c.x0, c.y0, c.x1, c.y1) for c in outer] + [(h.x0 - 2, h.y0 - 2, h.x1, h.y1) for h in holes]
    ends = np.array([width, height, width - 1, height - 1])
    return np.minimum(np.array(boxes or [(0, 0, 0, 0)], np.float64), ends)


def _rank(component: Component) -> float:
    return component.polygon


def inclusive_iou(a: Boxes, b: Boxes) -> npt.NDArray[np.float64]:
    """IoU (N, M) of boxes whose x1 and y1 are the last pixels inside; 0 where the union is not positive."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.maximum(0, high - low + 1).prod(axis=2)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2] + 1).prod(axis=1) for boxes in (a, b))
    union = area_a[:, None] + area_b[None] - both
    overlaps: npt.NDArray[np.float64] = np.where(union > 0, both / np.where(union > 0, union, 1), 0)
    return overlaps
