"""Connected components of a mask: boxes, pixel counts, polygon areas, and which one is the largest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Component", "components", "label", "labelled_components", "largest"]

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Component:
    """One connected component: its half-open box, its pixel count, and its polygon area (``cv2.contourArea``)."""

    x0: int
    y0: int
    x1: int
    y1: int
    pixels: int
    polygon: float


def components(mask: Mask, connectivity: int = 8) -> list[Component]:
    """All components of ``mask`` (H, W), in the raster order of their first pixels."""
    return labelled_components(mask, connectivity)[0]


def label(mask: Mask, connectivity: int) -> tuple[npt.NDArray[np.int64], int]:
    """Labels 1, 2, ... in the raster order of first pixels, by joining the horizontal runs of adjacent rows."""
    reach = 1 if connectivity == 8 else 0
    parent: list[int] = []
    runs: list[tuple[int, int, int]] = []
    previous: list[tuple[int, int, int]] = []

    def root(label: int) -> int:
        while parent[label] != label:
            label = parent[label]
        return label

    for y, row in enumerate(mask):
        edges = np.flatnonzero(np.diff(np.concatenate(([False], row, [False])).astype(np.int8)))
        current = []
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            new = len(parent)
            parent.append(new)
            for above_begin, above_end, above in previous:
                if above_begin < end + reach and begin < above_end + reach:
                    first, second = sorted((root(above), root(new)))
                    parent[second] = first
            current.append((begin, end, new))
            runs.append((y, begin, end))
        previous = current

    labels = np.zeros(mask.shape, np.int64)
    order: dict[int, int] = {}
    for label, (y, begin, end) in enumerate(runs):
        labels[y, begin:end] = order.setdefault(root(label), len(order) + 1)
    return labels, len(order)


def labelled_components(mask: Mask, connectivity: int = 8) -> tuple[list[Component], npt.NDArray[np.int64]]:
    """The same, and the number of each pixel's component (H, W), counted from 1; 0 outside of all."""
    labels, count = label(mask, connectivity)
    found = []
    for number in range(1, count + 1):
        ys, xs = np.nonzero(labels == number)
        y0, y1, x0, x1 = int(ys.min()), int(ys.max()) + 1, int(xs.min()), int(xs.max()) + 1
        region = labels[y0:y1, x0:x1] == number
        found.append(Component(x0, y0, x1, y1, len(ys), _polygon_area(_filled(region, connectivity))))
    return found, labels


def largest(mask: Mask, area: str = "pixels", connectivity: int = 8) -> Component | None:
    """The largest component, or None where the mask is empty.

    Of equal pixel counts the component whose first pixel comes first in raster order wins; of equal polygon areas the
    one whose first pixel comes last, as it falls with ``max(cv2.findContours(...), key=cv2.contourArea)``.
    """
    found = components(mask, connectivity)
    if not found:
        return None
    if area == "polygon":
        return max(reversed(found), key=lambda component: component.polygon)
    return max(found, key=lambda component: component.pixels)


def _filled(region: Mask, connectivity: int) -> Mask:
    """The region with every hole filled: what the background outside cannot reach."""
    outside, _ = label(~np.pad(region, 1), 4 if connectivity == 8 else 8)
    filled: Mask = outside != outside[0, 0]
    return filled[1:-1, 1:-1]


def _polygon_area(region: Mask) -> float:
    """Area inside the contour through the pixel centres: 1 for a full 2x2 window, 1/2 for one of three pixels."""
    r = region.astype(np.int64)
    windows = r[:-1, :-1] + r[:-1, 1:] + r[1:, :-1] + r[1:, 1:]
    return float((windows == 4).sum() + (windows == 3).sum() / 2)
