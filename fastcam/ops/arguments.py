"""What the operators refuse, said once: the interface above relies on it, and so does whoever calls them directly.

Every implementation of an operator, the fake one too, checks its arguments here before it reads anything. What can be
told from shapes, dtypes and devices is checked everywhere; what lies in a tensor's memory, on the CPU alone, because a
GPU would have to be waited for. ``fastcam.sizes`` says how large things may be.
"""

from __future__ import annotations

from typing import Final, NoReturn, get_args

import numpy as np
import torch
from torch import Tensor

from fastcam.ops.core import DTYPES
from fastcam.protocol import Area, Protocol
from fastcam.sizes import LONGEST_SIDE_OF_SWEEP, MOST_PIXELS_OF_MASK, fits, limits

__all__ = [
    "check_dense",
    "check_edges",
    "check_ends",
    "check_features",
    "check_histogram",
    "check_index",
    "check_integers",
    "check_levels",
    "check_maps",
    "check_masks",
    "check_scores",
    "check_size",
    "check_size_of",
    "check_sweep",
]

_AREAS: Final = get_args(Area)
_CONNECTIVITIES: Final = (4, 8)
_MASKS: Final = (torch.uint8, torch.int64, torch.bool)
_MOST_CHANNELS: Final = (1 << 31) - 1
_MOST_THRESHOLDS: Final = 1 << 24


def _refuse(name: str, wanted: str, tensor: Tensor, error: type[Exception] = ValueError) -> NoReturn:
    raise error(f"{name} must be {wanted}, got shape {tuple(tensor.shape)}")


def _check_dtype(name: str, tensor: Tensor, wanted: str, *dtypes: torch.dtype) -> None:
    if tensor.dtype not in dtypes:
        raise TypeError(f"{name} must be {wanted}, got {tensor.dtype}")


def check_dense(name: str, tensor: Tensor) -> None:
    """Refuse what is no tensor, and one whose values do not lie at strides."""
    if not isinstance(tensor, Tensor):  # PyTorch lets None through
        raise TypeError(f"{name} must be a tensor, got {type(tensor).__name__}")
    if tensor.layout != torch.strided or tensor.is_nested:
        kind = "nested" if tensor.is_nested else tensor.layout
        raise TypeError(f"{name} must be a dense tensor, got a {kind} one; use .to_dense() or padding")


def check_features(features: Tensor, weight: Tensor) -> None:
    """Features (N, C, h, w) and weights (K, C) on one device, of floating-point types."""
    if features is None or weight is None:
        _refuse_features(features, weight)
    shape, rows = features.shape, weight.shape
    # One expression in place of a function for each: a call for one small image takes 20 microseconds in all.
    if (
        features.dtype not in DTYPES
        or weight.dtype not in DTYPES
        or len(shape) != 4
        or len(rows) != 2
        or rows[1] != shape[1]
        or shape[1] > _MOST_CHANNELS
        or not fits(shape[2], shape[3])
        or features.device != weight.device
        or features.layout != torch.strided
        or weight.layout != torch.strided
    ):
        _refuse_features(features, weight)


def _refuse_features(features: Tensor, weight: Tensor) -> NoReturn:
    check_dense("features", features)
    check_dense("weight", weight)
    _check_dtype("features", features, "float16, bfloat16, float32 or float64", *DTYPES)
    _check_dtype("weight", weight, "float16, bfloat16, float32 or float64", *DTYPES)
    if features.ndim != 4 or 0 in features.shape[2:]:
        other = (
            " (of one axis or three there are maps, by fastcam.cam, but no boxes)" if features.ndim in (3, 5) else ""
        )
        _refuse("features", f"(N, C, h, w) with h and w at least 1{other}", features)
    if not fits(features.shape[2], features.shape[3]) or features.shape[1] > _MOST_CHANNELS:
        _refuse("features", f"(N, C, h, w) with C below 2^31 and h and w {limits()}", features)
    if weight.ndim != 2 or weight.shape[1] != features.shape[1]:
        _refuse("weight", f"(K, C) with the features' C={features.shape[1]} channels", weight)
    raise ValueError(f"weight must be on the features' device {features.device}, got {weight.device}")


def check_index(features: Tensor, weight: Tensor, index: Tensor | None) -> None:
    """One class, or some, for each image; without an index, one row of the weights."""
    images = features.shape[0]
    if index is None:
        if weight.shape[0] != images:
            raise ValueError(
                f"weight without index must be (N, C), a row for each of the {images} images, "
                f"got shape {tuple(weight.shape)}; did you forget index?"
            )
        return
    shape = index.shape
    if len(shape) not in (1, 2) or shape[0] != images:
        _refuse("index", f"(N,) or (N, T) for the {images} images of features", index)
    check_integers(index)
    if index.device != features.device or index.layout != features.layout:
        check_dense("index", index)
        raise ValueError(f"index must be on the features' device {features.device}, got {index.device}")


def check_integers(index: Tensor) -> None:
    """An index of any shape."""
    if index is None or index.dtype != torch.int64:
        check_dense("index", index)
        raise TypeError(f"index must be int64, got {index.dtype}")


def check_size(height: int, width: int) -> None:
    """The size (height, width) to which maps are resized."""
    if not fits(height, width):
        raise ValueError(f"height and width must be {limits()}, got {(height, width)}")


def check_size_of(protocol: Protocol, height: int, width: int) -> None:
    """The size at which maps are located by a protocol."""
    check_size(height, width)
    if protocol.threshold == "stable" and max(height, width) > LONGEST_SIDE_OF_SWEEP:
        raise ValueError(
            f"height and width must be at most {LONGEST_SIDE_OF_SWEEP} with threshold='stable', got {(height, width)}"
        )


def check_maps(maps: Tensor) -> None:
    """Maps (N, h, w) of real numbers."""
    if maps is None:
        check_dense("maps", maps)
    shape = maps.shape
    if len(shape) != 3 or not fits(shape[1], shape[2]) or maps.dtype.is_complex or maps.layout != torch.strided:
        check_dense("maps", maps)
        if maps.dtype.is_complex:
            raise TypeError(f"maps must be of real numbers, got {maps.dtype}")
        _refuse("maps", f"(N, h, w) with h and w {limits()}", maps)


def check_masks(masks: Tensor, width: int, area: Area, connectivity: int) -> None:
    """Masks (N, H, W), bytes, or packed (N, H, words) int64; and what is asked of their components."""
    if masks is None or masks.is_nested:
        check_dense("masks", masks)
    shape, packed = masks.shape, masks.dtype == torch.int64
    if (
        len(shape) != 3
        or shape[2] != ((width + 63) // 64 if packed else width)
        or not fits(shape[1], width, MOST_PIXELS_OF_MASK)
        or connectivity not in _CONNECTIVITIES
        or area not in _AREAS
        or masks.dtype not in _MASKS
        or masks.layout != torch.strided
    ):
        _refuse_masks(masks, width, area, connectivity)


def _refuse_masks(masks: Tensor, width: int, area: Area, connectivity: int) -> NoReturn:
    check_dense("masks", masks)
    _check_dtype("masks", masks, "bool, uint8, or int64 where packed", *_MASKS)
    if masks.ndim != 3:
        _refuse("masks", "(N, H, W), or (N, H, words) where packed", masks)
    if not fits(masks.shape[1], width, MOST_PIXELS_OF_MASK):
        raise ValueError(
            f"masks must have a height and a width {limits(MOST_PIXELS_OF_MASK)}, got height {masks.shape[1]} "
            f"and width {width}"
        )
    for name, value, choices in (("area", area, _AREAS), ("connectivity", connectivity, _CONNECTIVITIES)):
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    row = f"{-(-width // 64)} words" if masks.dtype == torch.int64 else f"{width} bytes"
    _refuse("masks", f"rows of {row} for width {width}", masks)


def check_scores(maps: Tensor, height: int, width: int, raw: bool) -> None:
    """Score maps (N, h, w), and the size at which they are evaluated: their own, unless they are raw."""
    if maps is None:
        check_dense("maps", maps)
    shape = maps.shape
    if len(shape) != 3 or not fits(shape[1], shape[2]) or maps.dtype not in DTYPES or maps.layout != torch.strided:
        check_dense("maps", maps)
        _check_dtype("maps", maps, "float16, bfloat16, float32 or float64", *DTYPES)
        _refuse("maps", f"(N, h, w) with h and w {limits()}", maps)
    check_size(height, width)
    if not raw and (shape[1] != height or shape[2] != width):
        _refuse("maps", f"of the size {(height, width)} unless raw", maps)


def check_histogram(maps: Tensor, masks: Tensor, edges: Tensor, raw: bool) -> None:
    """Score maps, masks (N, H, W) of the size at which they are evaluated, and the edges of the bins."""
    check_dense("maps", maps)
    check_dense("masks", masks)
    check_dense("edges", edges)
    _check_dtype("masks", masks, "uint8", torch.uint8)
    _check_dtype("edges", edges, "float64", torch.float64)
    if masks.ndim != 3 or masks.shape[:1] != maps.shape[:1]:
        _refuse("masks", f"(N, H, W), one for each of the {maps.shape[0] if maps.ndim else 0} maps", masks)
    if not fits(masks.shape[1], masks.shape[2]):
        _refuse("masks", f"(N, H, W) with H and W {limits()}", masks)
    check_scores(maps, masks.shape[1], masks.shape[2], raw)
    if edges.ndim != 1 or not 4 <= edges.shape[0] <= _MOST_THRESHOLDS + 3:
        _refuse("edges", "(T + 3,): T thresholds, at least 1 and at most 2^24, then 1, 2 and 3", edges)
    for name, other in (("masks", masks), ("edges", edges)):
        if other.device != maps.device:
            raise ValueError(f"{name} must be on the maps' device {maps.device}, got {other.device}")


def check_edges(edges: Tensor) -> None:
    """The values of the edges: thresholds in even steps from 0 that reach 1, as ``numpy.arange`` makes them."""
    values = edges.numpy()
    steps, step = len(values) - 3, values[1]
    if not (
        0 < step <= 1
        and (values[-3:] == (1, 2, 3)).all()
        and (values[:-3] == np.arange(steps) * step).all()
        and values[-4] < 1 <= values[-4] + 1.5 * step
    ):
        raise ValueError(f"edges must be thresholds in even steps from 0 up to 1, then 1, 2 and 3, got {edges}")


def check_levels(levels: Tensor) -> None:
    """Levels (N, H, W) whose thresholds are looked at all at once."""
    check_dense("levels", levels)
    _check_dtype("levels", levels, "uint8", torch.uint8)
    if levels.ndim != 3 or not fits(levels.shape[1], levels.shape[2]) or max(levels.shape[1:]) > LONGEST_SIDE_OF_SWEEP:
        sides = f"at most {LONGEST_SIDE_OF_SWEEP} pixels a side"
        _refuse("levels", f"(N, H, W) with H and W {limits()}, and {sides}", levels)


def check_sweep(levels: Tensor, boxes: Tensor, ends: Tensor) -> None:
    """Levels (N, H, W), ground truth (M, 4), and where that of each image ends."""
    check_levels(levels)
    for name, tensor, dtype in (
        ("boxes", boxes, torch.float64),
        ("ends", ends, torch.int64),
    ):
        check_dense(name, tensor)
        _check_dtype(name, tensor, str(dtype).removeprefix("torch."), dtype)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        _refuse("boxes", "(M, 4)", boxes)
    if ends.ndim != 1 or ends.shape[0] != levels.shape[0]:
        _refuse("ends", f"(N,), one for each of the {levels.shape[0]} images", ends)


def check_ends(boxes: Tensor, ends: Tensor) -> None:
    """The values of the ends: every image has a box, and none has one that does not exist."""
    values = ends.numpy()
    if len(values) and not (values[0] > 0 and values[-1] <= boxes.shape[0] and (values[1:] > values[:-1]).all()):
        raise ValueError(
            f"ends must rise from at least 1 to at most the {boxes.shape[0]} boxes, so that every image has a box, "
            f"got {ends}"
        )
