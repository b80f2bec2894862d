"""Resizing on the fly (bilinear, bicubic): the tables of an axis, and the values of a map at any positions.

The small maps' rows are resized along the width once; from those, every pass computes the pixels along the height
again. All arithmetic is the reference's, in the same order and without contraction, so the bits are the same.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import triton
import triton.language as tl
from torch import Tensor

from fastcam.reference.resize import cubic_weights

__all__ = [
    "CELLS",
    "Axis",
    "Segments",
    "axis",
    "axis_on",
    "pixel_tile",
    "resized",
    "segment_tile",
    "segments",
    "segments_on",
    "widen",
]

_BLOCK = 64  # tables and rows are padded to a multiple of this
CELLS = 16  # the segments of a column are padded to a multiple of this


@triton.jit
def resized(p, step, other, first, factors, last, length, at, TAPS: tl.constexpr):
    """Values at output positions ``at`` of an axis with stride ``step``, at offset ``other`` along the other axis."""
    here = tl.load(first + at)
    f = tl.load(factors + at)
    if TAPS == 1:
        return tl.load(p + here * step + other) * f
    elif TAPS == 2:
        a = tl.load(p + here * step + other)
        b = tl.load(p + tl.minimum(here + 1, last) * step + other)
        return a + (b - a) * f
    else:
        value = tl.load(p + tl.minimum(tl.maximum(here - 1, 0), last) * step + other) * f
        for tap in tl.static_range(1, 4):
            f = tl.load(factors + tap * length + at)
            value += tl.load(p + tl.minimum(tl.maximum(here + (tap - 1), 0), last) * step + other) * f
        return value


@triton.jit(do_not_specialize=["w"])
def widen(maps, first, factors, rows, w, stride, TAPS: tl.constexpr, X: tl.constexpr):
    """Resize one row of one map along the width; NaN fills it up to the stride, which no comparison keeps."""
    pid = tl.program_id(0).to(tl.int64)
    blocks = tl.cdiv(stride, X)
    row = pid // blocks
    x = (pid % blocks * X).to(tl.int32) + tl.arange(0, X)
    tl.store(rows + row * stride + x, resized(maps + row * w, 1, 0, first, factors, w - 1, stride, x, TAPS))


@triton.jit
def _lines(tile, r, stride, R: tl.constexpr, Y: tl.constexpr, X: tl.constexpr):
    """The rows (Y, 1) of the r-th of R slices of a tile, and its columns (1, X)."""
    blocks = stride // X
    y = r * Y + tl.arange(0, Y)[:, None]
    return tile // blocks * (R * Y) + y, tile % blocks * X + tl.arange(0, X)[None, :]


@triton.jit
def pixel_tile(rows, first, factors, last, length, stride, tile, r, TAPS: tl.constexpr, R: tl.constexpr,
            Y: tl.constexpr, X: tl.constexpr):  # fmt: skip
    """Slice r of tile ``tile`` of the full-size map, (Y, X); NaN beyond its edges."""
    y, x = _lines(tile, r, stride, R, Y, X)
    return resized(rows, stride, x, first, factors, last, length, y, TAPS)


@triton.jit
def segment_tile(rows, lengths, factors, last, stride, tile, r, STEPS: tl.constexpr, R: tl.constexpr, Y: tl.constexpr,
              X: tl.constexpr):  # fmt: skip
    """Slice r of tile ``tile`` of the segments, (Y, X): the row above, the rise to that below, factors, pixels."""
    cell, x = _lines(tile, r, stride, R, Y, X)
    a = tl.load(rows + tl.minimum(cell, last) * stride + x)
    b = tl.load(rows + tl.minimum(cell + 1, last) * stride + x)
    return a, b - a, factors + (cell << STEPS), tl.load(lengths + cell)


class Axis(NamedTuple):
    """The first input position of each output position, and its factors (taps or 1, length)."""

    first: Tensor
    factors: Tensor


class Segments(NamedTuple):
    """Output positions grouped by the pair of inputs they lie between: how many, and their factors in order.

    (cells,) int32 and (cells, 2^steps) float32, padded with infinity.
    """

    lengths: Tensor
    factors: Tensor
    steps: int


# Never freed, as a captured CUDA graph reads them again: a few kilobytes for every pair of sizes.
@functools.cache
def axis_on(device: torch.device, n: int, length: int, taps: int) -> Axis:
    """:func:`axis` on a device."""
    return Axis(*(torch.from_numpy(part).to(device) for part in axis(n, length, taps)))


@functools.cache
def segments_on(device: torch.device, n: int, length: int) -> Segments:
    """:func:`segments` on a device."""
    lengths, factors = segments(n, length)
    return Segments(
        torch.from_numpy(lengths).to(device), torch.from_numpy(factors).to(device), factors.shape[1].bit_length() - 1
    )


def segments(n: int, length: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Output positions of a bilinear axis, grouped by their first input; within a group their factors increase."""
    first, factors = axis(n, length, 2)
    lengths = np.bincount(first[:length], minlength=-(-n // CELLS) * CELLS).astype(np.int32)
    table = np.full((len(lengths), 1 << int(lengths.max()).bit_length()), np.inf, np.float32)
    table[np.arange(table.shape[1]) < lengths[:, None]] = factors[0, :length]
    return lengths, table


def axis(n: int, length: int, taps: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The first input position of each output position, and its factors (taps or 1, length), as the reference has them.

    Padded to a multiple of 64 with factors of NaN and position 0, which can be read and makes NaN.
    """
    padded = -(-length // _BLOCK) * _BLOCK
    source = (np.arange(length) + 0.5) * n / length - 0.5
    if taps == 2:
        source = source.clip(0, n - 1)
    floor = np.floor(source)
    fraction = source - floor
    first = np.zeros(padded, np.int32)
    factors = np.full((4 if taps == 4 else 1, padded), np.nan, np.float32)
    first[:length] = floor
    factors[:, :length] = np.stack(cubic_weights(fraction)) if taps == 4 else fraction if taps == 2 else 1
    return first, factors
