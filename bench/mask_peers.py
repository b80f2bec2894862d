"""Boxes of one mask (H, W) uint8 by the tools of today: x0, y0, x1, y1, half-open; or of all components, with areas."""

from __future__ import annotations

from typing import Final

import cc3d
import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["ALL", "EXTERNAL", "LARGEST", "LARGEST_4", "SHORT_STATISTICS", "STATISTICS", "TREE"]

Mask = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
Regions = npt.NDArray[np.int64]

_EMPTY: Final[Box] = (0, 0, 0, 0)
_NEIGHBOURS: Final = {4: ndimage.generate_binary_structure(2, 1), 8: np.ones((3, 3), bool)}


def by_contours(mask: Mask, mode: int = cv2.RETR_EXTERNAL) -> Box:
    """The contour of the largest polygon area."""
    contours = cv2.findContours(mask, mode, cv2.CHAIN_APPROX_SIMPLE)[0]
    if not contours:
        return _EMPTY
    x, y, w, h = cv2.boundingRect(max(contours, key=cv2.contourArea))
    return x, y, x + w, y + h


def by_tree_contours(mask: Mask) -> Box:
    """The same, as the evaluators of the field call it; quadratic in the number of contours."""
    return by_contours(mask, cv2.RETR_TREE)


def by_statistics(mask: Mask, connectivity: int = 8, labels: int = cv2.CV_32S) -> Box:
    """The component of most pixels."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=connectivity, ltype=labels)
    if count == 1:
        return _EMPTY
    x, y, w, h, _ = stats[1 + stats[1:, cv2.CC_STAT_AREA].argmax()].tolist()
    return x, y, x + w, y + h


def by_short_statistics(mask: Mask, connectivity: int = 8) -> Box:
    """The same with labels of 16 bits, which a mask of at most 512x512 never overflows, and which take less time."""
    return by_statistics(mask, connectivity, cv2.CV_16U)


def by_cc3d(mask: Mask, connectivity: int = 8) -> Box:
    stats = cc3d.statistics(_cc3d_labels(mask, connectivity), no_slice_conversion=True)
    areas = stats["voxel_counts"][1:]
    if not len(areas):
        return _EMPTY
    y0, y1, x0, x1 = stats["bounding_boxes"][1 + areas.argmax()][:4].tolist()
    return x0, y0, x1 + 1, y1 + 1


def _cc3d_labels(mask: Mask, connectivity: int) -> npt.NDArray[np.uint32]:
    return cc3d.connected_components(mask, connectivity=connectivity, binary_image=True)


def by_scipy(mask: Mask, connectivity: int = 8) -> Box:
    labels, count = ndimage.label(mask, structure=_NEIGHBOURS[connectivity])
    if not count:
        return _EMPTY
    best = np.bincount(labels.ravel())[1:].argmax()
    y, x = ndimage.find_objects(labels)[best]
    return x.start, y.start, x.stop, y.stop


def all_by_statistics(mask: Mask, labels: int = cv2.CV_32S) -> Regions:
    """Rows x0, y0, x1, y1, pixels."""
    stats = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=labels)[2][1:].astype(np.int64)
    stats[:, 2:4] += stats[:, :2]
    return stats


def all_by_cc3d(mask: Mask) -> Regions:
    stats = cc3d.statistics(_cc3d_labels(mask, 8), no_slice_conversion=True)
    boxes = stats["bounding_boxes"][1:, [2, 0, 3, 1]].astype(np.int64)
    boxes[:, 2:] += 1
    return np.column_stack((boxes, stats["voxel_counts"][1:].astype(np.int64)))


def all_by_scipy(mask: Mask) -> Regions:
    labels, _ = ndimage.label(mask, structure=_NEIGHBOURS[8])
    found = ndimage.find_objects(labels)
    boxes = np.array([(x.start, y.start, x.stop, y.stop) for y, x in found], np.int64).reshape(-1, 4)
    return np.column_stack((boxes, np.bincount(labels.ravel(), minlength=1)[1:]))


STATISTICS: Final = "connectedComponentsWithStats"
SHORT_STATISTICS: Final = "connectedComponentsWithStats, 16-bit labels"
TREE: Final = "findContours TREE"
EXTERNAL: Final = "findContours EXTERNAL"

LARGEST: Final = {
    TREE: by_tree_contours,
    EXTERNAL: by_contours,
    STATISTICS: by_statistics,
    SHORT_STATISTICS: by_short_statistics,
    "cc3d": by_cc3d,
    "scipy.ndimage": by_scipy,
}
LARGEST_4: Final = {
    STATISTICS: lambda mask: by_statistics(mask, 4),
    SHORT_STATISTICS: lambda mask: by_short_statistics(mask, 4),
    "cc3d": lambda mask: by_cc3d(mask, 4),
    "scipy.ndimage": lambda mask: by_scipy(mask, 4),
}
ALL: Final = {
    STATISTICS: all_by_statistics,
    SHORT_STATISTICS: lambda mask: all_by_statistics(mask, cv2.CV_16U),
    "cc3d": all_by_cc3d,
    "scipy.ndimage": all_by_scipy,
}
