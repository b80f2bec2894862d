"""From maps and masks to boxes: :func:`boxes_from_maps`, :func:`objects_from_maps`, :func:`boxes_from_masks`."""

from __future__ import annotations

import ctypes
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from fastcam_numpy.library import Protocol, address, call

__all__ = ["Boxes", "Objects", "boxes_from_maps", "boxes_from_masks", "objects_from_maps"]

_OBJECT: Final = np.dtype([("box", np.float32, 4), ("area", np.float64), ("score", np.float64), ("image", np.int64)])
_MOST: Final = (1 << 31) - 1


class Boxes(NamedTuple):
    """The box of the largest component of each of N maps or masks.

    Attributes:
        boxes: (N, 4) float32, x0, y0, x1, y1 in pixels, half-open.
        areas: (N,) float64, pixels or of the polygon; 0 where nothing is kept.
        thresholds: (N,) float32, what the kept pixels of each map exceed; None for masks.
    """

    boxes: npt.NDArray[np.float32]
    areas: npt.NDArray[np.float64]
    thresholds: npt.NDArray[np.float32] | None = None


class Objects(NamedTuple):
    """Every component of maps, M in all, map by map in the raster order of first pixels.

    Attributes:
        boxes: (M, 4) float32, x0, y0, x1, y1 in pixels, half-open.
        areas: (M,) float64.
        scores: (M,) float64, the map's peak under each component, or its mean.
        image: (M,) int64, the number of the map.
    """

    boxes: npt.NDArray[np.float32]
    areas: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    image: npt.NDArray[np.int64]


def boxes_from_maps(
    maps: npt.ArrayLike,
    *,
    size: tuple[int, int] | None = None,
    protocol: str = "paper",
    threads: int = 1,
    **fields: Any,  # noqa: ANN401
) -> Boxes:
    """Find the box of the largest component of each map (Eq. 3 and 6 of Bae et al., ECCV 2020).

    Args:
        maps: (N, h, w) or (h, w), real numbers; they are computed in float32. They may hold NaN.
        size: (H, W) in pixels that the maps are resized to and that boxes refer to; None: that of the maps.
        protocol: "paper", "vanilla", "authors" or "wsoleval", as ``fastcam`` defines them.
        threads: how many may be used.
        fields: of the protocol, such as ``threshold=0.4`` or ``area="polygon"``.

    Raises:
        TypeError: maps that are no real numbers, a size or threads in no whole numbers, or an unknown field.
        ValueError: another number of dimensions, sizes out of range, an unknown protocol, or a value out of range.

    Example:
        >>> import numpy as np, fastcam_numpy
        >>> heat = np.array([[0.0, 0.2, 0.1], [0.1, 0.9, 0.8]])
        >>> fastcam_numpy.boxes_from_maps(heat, threshold=0.5).boxes.tolist()
        [[1.0, 1.0, 3.0, 2.0]]
    """
    several = _checked_maps(maps)
    count = len(several)
    boxes, areas, thresholds = np.empty((count, 4), np.float32), np.empty(count), np.empty(count, np.float32)
    given = _arguments(several, size, Protocol(protocol, fields), threads)
    call("boxes_from_maps", *given, address(boxes), address(areas), address(thresholds))
    return Boxes(boxes, areas, thresholds)


def objects_from_maps(
    maps: npt.ArrayLike,
    *,
    size: tuple[int, int] | None = None,
    protocol: str = "paper",
    threads: int = 1,
    **fields: Any,  # noqa: ANN401
) -> Objects:
    """Find every component of each map, with its score.

    Args:
        maps: see :func:`boxes_from_maps`; and so the other arguments.
        size: likewise.
        protocol: likewise.
        threads: likewise.
        fields: likewise; also ``scores="mean"`` and ``high_threshold``.

    Raises:
        TypeError: see :func:`boxes_from_maps`.
        ValueError: likewise.

    Example:
        >>> import numpy as np, fastcam_numpy
        >>> heat = np.array([[0.9, 0.0, 0.0, 0.6]])
        >>> fastcam_numpy.objects_from_maps(heat, threshold=0.5).scores.round(2).tolist()
        [0.9, 0.6]
    """
    several = _checked_maps(maps)
    given = _arguments(several, size, Protocol(protocol, fields), threads)
    room, found = 4 * len(several) + 16, ctypes.c_int64()
    while True:
        rows = np.empty(room, _OBJECT)
        call("objects_from_maps", *given, ctypes.c_int64(room), address(rows), ctypes.byref(found))
        if found.value <= room:
            rows = rows[: found.value]
            return Objects(*(np.ascontiguousarray(rows[name]) for name in ("box", "area", "score", "image")))
        room = found.value


def boxes_from_masks(masks: npt.ArrayLike, *, area: str = "pixels", connectivity: int = 8, threads: int = 1) -> Boxes:
    """Find the box of the largest component of each mask.

    Args:
        masks: (N, H, W) or (H, W), bool or uint8, set where not 0.
        area: what largest means: "pixels", or "polygon", the area of the outer contour (``cv2.contourArea``).
        connectivity: 8 or 4.
        threads: how many may be used.

    Raises:
        TypeError: masks of another dtype, or threads that are no whole number.
        ValueError: another number of dimensions, sides out of range, or an unknown area or connectivity.

    Example:
        >>> import numpy as np, fastcam_numpy
        >>> fastcam_numpy.boxes_from_masks(np.eye(3, dtype=bool)).boxes.tolist()
        [[0.0, 0.0, 3.0, 3.0]]
    """
    several = np.asarray(masks)
    if several.dtype not in (np.bool_, np.uint8):
        raise TypeError(f"masks must be bool or uint8, got {several.dtype}")
    several = np.ascontiguousarray(_stacked("masks", several)).view(np.uint8)
    boxes, areas = np.empty((len(several), 4), np.float32), np.empty(len(several))
    if area not in ("pixels", "polygon"):
        raise ValueError(f"area must be 'pixels' or 'polygon', got {area!r}")
    if connectivity not in (4, 8):
        raise ValueError(f"connectivity must be 4 or 8, got {connectivity!r}")
    shape = (ctypes.c_int32(_whole("a side of masks", side)) for side in several.shape[1:])
    given = address(several), ctypes.c_int64(len(several)), *shape, area.encode(), ctypes.c_int32(connectivity)
    call("boxes_from_masks", *given, ctypes.c_int32(_whole("threads", threads)), address(boxes), address(areas))
    return Boxes(boxes, areas)


def _checked_maps(maps: npt.ArrayLike) -> npt.NDArray[np.float32]:
    several = np.asarray(maps)
    if several.dtype.kind not in "fiub":
        raise TypeError(f"maps must be real numbers, got {several.dtype}")
    return np.ascontiguousarray(_stacked("maps", several), dtype=np.float32)


def _stacked(name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.ndim not in (2, 3):
        raise ValueError(f"{name} must be (N, H, W) or (H, W), got shape {array.shape}")
    return array[None] if array.ndim == 2 else array


def _arguments(
    maps: npt.NDArray[np.float32], size: tuple[int, int] | None, protocol: Protocol, threads: int
) -> tuple[Any, ...]:
    """The arguments that the functions of maps have in common."""
    wanted = maps.shape[1:] if size is None else tuple(size)
    if len(wanted) != 2:
        raise ValueError(f"size must be (H, W), got {size!r}")
    sides = (ctypes.c_int32(_whole(name, side)) for name, side in zip("hwHW", (*maps.shape[1:], *wanted), strict=True))
    return address(maps), ctypes.c_int64(len(maps)), *sides, protocol, ctypes.c_int32(_whole("threads", threads))


def _whole(name: str, value: Any) -> int:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if not -_MOST <= value <= _MOST:
        raise ValueError(f"{name} must be at most {_MOST}, got {value}")
    return int(value)
