"""Every component of a thresholded map, and which of them are boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcam.protocol import Protocol
from fastcam.reference.components import Component, Mask, labelled_components

__all__ = ["Object", "chosen", "objects"]

Values = npt.NDArray[Any]


@dataclass(frozen=True)
class Object:
    """One component, with the largest and the mean value of the map under it."""

    component: Component
    peak: float
    mean: float


def objects(full: Values, mask: Mask, connectivity: int = 8) -> list[Object]:
    """All components of ``mask`` (H, W), in the raster order of first pixels, with the values of ``full`` (H, W)."""
    found, labels = labelled_components(mask, connectivity)
    values = [full[labels == label].astype(np.float64) for label in range(1, len(found) + 1)]
    return [Object(one, float(of.max()), float(of.mean())) for one, of in zip(found, values, strict=True)]


def chosen(areas: Values, scores: Values, maps: Values, protocol: Protocol) -> npt.NDArray[np.int64]:
    """Which of M components are boxes, map by map in the order that the protocol asks for.

    Args:
        areas: (M,), in the protocol's kind of area.
        scores: (M,).
        maps: (M,), the number of each one's map; those of a map are in the raster order of their first pixels.
        protocol: its ``min_area``, ``order`` and ``max_boxes``.

    Returns:
        Numbers below M. The first one of a map with ``order="largest"`` is the one that ``keep="largest"`` keeps, so of
        equal pixel counts the first in raster order, of equal polygon areas the last.
    """
    large = np.flatnonzero(areas >= protocol.min_area) if protocol.min_area > 0 else np.arange(len(areas))
    by_area = protocol.order == "largest"
    raster = -large if by_area and protocol.area == "polygon" else large
    ranks = areas[large] if by_area else scores[large]
    rows = large[np.lexsort((raster, -ranks, maps[large]))]
    if protocol.max_boxes is None:
        return rows
    _, first, count = np.unique(maps[rows], return_index=True, return_counts=True)
    return rows[np.arange(len(rows)) - np.repeat(first, count) < protocol.max_boxes]
