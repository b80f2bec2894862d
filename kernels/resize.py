"""Resizing on the fly (bilinear, bicubic): the tables of an axis, and the values of a map at any positions.

The small maps' rows are resized along the width once; along the height, every pass evaluates the pixels anew from
those. All arithmetic is that of the reference in the same order and without contraction: the same bits.
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

__all__ = ["Axis", "Segments", "axis", "axis_on", "resized", "segments", "segments_on", "widen"]

_BLOCK = 64  # tables and rows are padded to a multiple of this
CELLS = 16  # and the segments of a column to a multiple of this


@triton.jit
def resized(p, step, other, first, factors, last, length, at, TAPS: tl.constexpr):
    """Values ``at`` of an axis whose input positions lie ``step`` apart, at ``other`` across it."""
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
    """Resize one row of one map along the width; beyond it, up to the stride, come NaNs, which exceed nothing."""
    pid = tl.program_id(0).to(tl.int64)
    blocks = tl.cdiv(stride, X)
    row = pid // blocks
    x = (pid % blocks * X).to(tl.int32) + tl.arange(0, X)
    tl.store(rows + row * stride + x, resized(maps + row * w, 1, 0, first, factors, w - 1, stride, x, TAPS))


class Axis(NamedTuple):
    """The first input position of each output position, and its factors (taps or 1, length)."""

    first: Tensor
    factors: Tensor


class Segments(NamedTuple):
    """Output positions by the pair of inputs they lie between: how many there are, and their factors in order.

    (cells,) int32 and (cells, 2^steps) float32, padded with infinity, which is beyond everything.
    """

    lengths: Tensor
    factors: Tensor
    steps: int


# Kept for good, since a captured graph reads them again: a few kilobytes for every pair of sizes.
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
    """Of a bilinear axis, the positions by their first input position; within it they come in the order of factors."""
    first, factors = axis(n, length, 2)
    lengths = np.bincount(first[:length], minlength=-(-n // CELLS) * CELLS).astype(np.int32)
    table = np.full((len(lengths), 1 << int(lengths.max()).bit_length()), np.inf, np.float32)
    table[np.arange(table.shape[1]) < lengths[:, None]] = factors[0, :length]
    return lengths, table


def axis(n: int, length: int, taps: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The first input position of each output position, and its factors (taps or 1, length); as the reference's.

    Padded to a multiple of 64 with factors of NaN, and, since what is read with them is thrown away, position 0.
    """
    padded = -(-length // _BLOCK) * _BLOCK
    source = (np.arange(length) + 0.5) * n / length - 0.5
    if taps == 2:
        source = source.clip(0, n - 1)
    floor = np.floor(source)
    t = source - floor
    first = np.zeros(padded, np.int32)
    factors = np.full((4 if taps == 4 else 1, padded), np.nan, np.float32)
    first[:length] = floor
    factors[:, :length] = np.stack(_cubic_weights(t)) if taps == 4 else t if taps == 2 else 1
    return first, factors


def _cubic_weights(t: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    a = -0.75

    def near(d: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return far(t + 1), near(t), near(1 - t), far(2 - t)
