"""The percentile of one large map by many programs: the search of ``percentile``, a launch for each of its passes.

The programs of a map divide its tiles. Each stores what it counts; in the next launch every program adds up what all of
a map's have stored, so nothing is added atomically, no program waits for another, and the host waits for nothing. The
numbers are whole, the pivots those of one program: so is the result, to the bit. A launch after the end of the search
reads the state and returns.
"""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl
from fastcam.kernels.keys import key_of, of_key
from fastcam.kernels.launch import power_of_two
from fastcam.kernels.percentile import beside, counts, extremes, narrowed, pivots
from fastcam.kernels.threshold import write_threshold
from torch import Tensor

__all__ = ["find_threshold_split", "programs_of_a_map"]

_LARGEST = tl.constexpr(0x7FFFFFFF)
_PASSES: Final = 33  # as many as the search takes at most
_TILES: Final = 128  # fewer take one program less time than the launches do
_PROGRAMS: Final = 264  # two a multiprocessor of the larger GPUs

_NUMBERS = ["maps", "parts", "turn", "h", "length", "tiles", "pixels", "k", "factor_bits", "theta_bits"]


def programs_of_a_map(maps: int, tiles: int) -> int:
    """How many programs search one of so many maps of so many tiles: 1 unless that takes much less time."""
    parts = min(_PROGRAMS // maps, tiles // 4) if tiles >= _TILES else 1
    return parts if parts >= 4 else 1


@triton.jit
def _share(parts, tiles):
    """This program's map, its number among those of the map, and its tiles: the first, and the first beyond them."""
    pid = tl.program_id(0).to(tl.int64)
    part = (pid % parts).to(tl.int32)
    each = tl.cdiv(tiles, parts)
    return pid // parts, part, tl.minimum(part * each, tiles), tl.minimum(part * each + each, tiles)


@triton.jit
def _place(found, turn, maps, n, parts, part):
    """Where a program stores the three numbers that it finds."""
    return found + ((turn * maps + n) * parts + part) * 3


@triton.jit
def _searching(low_key, high_key, up_to, k):
    return (low_key < high_key) & (up_to != k + 1)


@triton.jit
def _begun(found, maps, n, parts, pixels, P: tl.constexpr):
    """The keys of the smallest and the largest value of a map, and whether there is a NaN among them."""
    part = tl.arange(0, P)
    at = _place(found, 0, maps, n, parts, part)
    smallest = tl.min(tl.load(at, mask=part < parts, other=_LARGEST))
    largest = tl.max(tl.load(at + 1, mask=part < parts, other=-_LARGEST))
    return smallest, largest, tl.sum(tl.load(at + 2, mask=part < parts, other=0)) != pixels


@triton.jit
def _state(found, states, turn, maps, n, parts, pixels, k, P: tl.constexpr):
    """The invariant of the search before pass ``turn``, the first of which is 0."""
    if turn == 0:
        low_key, high_key, nan = _begun(found, maps, n, parts, pixels, P)
        high_key = tl.where(nan, low_key, high_key)
        below = tl.cast(0, tl.int32)
        up_to = tl.cast(pixels, tl.int32)
    else:
        state = states + ((turn - 1) * maps + n) * 4
        low_key = tl.load(state)
        high_key = tl.load(state + 1)
        below = tl.load(state + 2)
        up_to = tl.load(state + 3)
        if _searching(low_key, high_key, up_to, k):
            part = tl.arange(0, P)
            at = _place(found, turn, maps, n, parts, part)
            c0 = tl.sum(tl.load(at, mask=part < parts, other=0))
            c1 = tl.sum(tl.load(at + 1, mask=part < parts, other=0))
            c2 = tl.sum(tl.load(at + 2, mask=part < parts, other=0))
            k0, k1, k2 = pivots(low_key, high_key, below, up_to, k)
            low_key, high_key, below, up_to = narrowed(low_key, high_key, below, up_to, k0, k1, k2, c0, c1, c2, k)
    return low_key, high_key, below, up_to


@triton.jit(do_not_specialize=_NUMBERS)
def _begin(
    rows, first, factors, found, maps, parts, h, stride, length, tiles,
    TAPS: tl.constexpr, STEPS: tl.constexpr, R: tl.constexpr, Y: tl.constexpr, X: tl.constexpr,
):  # fmt: skip
    """Store the extremes of a program's tiles, and how many values are not NaN."""
    n, part, start, end = _share(parts, tiles)
    rows += n * h * stride
    smallest, largest, numbers = extremes(rows, first, factors, h - 1, length, stride, start, end, TAPS, STEPS, R, Y, X)
    at = _place(found, 0, maps, n, parts, part)
    tl.store(at, key_of(smallest))
    tl.store(at + 1, key_of(largest))
    tl.store(at + 2, numbers)


@triton.jit(do_not_specialize=_NUMBERS)
def _pass(
    rows, first, factors, found, states, turn, maps, parts, h, stride, length, tiles, pixels, k,
    TAPS: tl.constexpr, STEPS: tl.constexpr, R: tl.constexpr, Y: tl.constexpr, X: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """Store how many values of a program's tiles lie at or below the pivots of pass ``turn``."""
    n, part, start, end = _share(parts, tiles)
    low_key, high_key, below, up_to = _state(found, states, turn, maps, n, parts, pixels, k, P)
    if part == 0:
        state = states + (turn * maps + n) * 4
        tl.store(state, low_key)
        tl.store(state + 1, high_key)
        tl.store(state + 2, below)
        tl.store(state + 3, up_to)
    if _searching(low_key, high_key, up_to, k):
        k0, k1, k2 = pivots(low_key, high_key, below, up_to, k)
        c0, c1, c2 = counts(
            rows + n * h * stride, first, factors, h - 1, length, stride, start, end,
            of_key(k0), of_key(k1), of_key(k2), TAPS, STEPS, R, Y, X,
        )  # fmt: skip
        at = _place(found, turn + 1, maps, n, parts, part)
        tl.store(at, c0)
        tl.store(at + 1, c1)
        tl.store(at + 2, c2)


@triton.jit(do_not_specialize=_NUMBERS)
def _end(
    rows, first, factors, found, states, turn, maps, parts, h, stride, length, tiles, pixels, k,
    TAPS: tl.constexpr, STEPS: tl.constexpr, R: tl.constexpr, Y: tl.constexpr, X: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """Store the values of a program's tiles that come next to the key at which the search ended."""
    n, part, start, end = _share(parts, tiles)
    _, high_key, _, _ = _state(found, states, turn, maps, n, parts, pixels, k, P)
    kth, beyond = beside(
        rows + n * h * stride, first, factors, h - 1, length, stride, start, end, of_key(high_key),
        TAPS, STEPS, R, Y, X,
    )  # fmt: skip
    at = _place(found, turn + 1, maps, n, parts, part)
    tl.store(at, key_of(kth))
    tl.store(at + 1, key_of(beyond))


@triton.jit(do_not_specialize=_NUMBERS)
def _conclude(
    found, states, thresholds, cutoffs, normals, turn, maps, parts, pixels, k, factor_bits, theta_bits,
    NORMALIZE: tl.constexpr, QUANTIZE: tl.constexpr, UPPER: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """Write a map's threshold, its cutoff and its normalization."""
    n = tl.program_id(0).to(tl.int64)
    smallest, largest, nan = _begun(found, maps, n, parts, pixels, P)
    _, _, _, up_to = _state(found, states, turn, maps, n, parts, pixels, k, P)
    part = tl.arange(0, P)
    at = _place(found, turn + 1, maps, n, parts, part)
    kth = of_key(tl.max(tl.load(at, mask=part < parts, other=-_LARGEST)))
    beyond = of_key(tl.min(tl.load(at + 1, mask=part < parts, other=_LARGEST)))
    after = tl.where((up_to > k + 1) | (k + 1 == pixels), kth, beyond)
    write_threshold(
        n, of_key(smallest), of_key(largest), kth, after, nan, thresholds, cutoffs, normals, factor_bits, theta_bits,
        NORMALIZE, QUANTIZE, UPPER,
    )  # fmt: skip


def find_threshold_split(
    parts: int,
    rows: Tensor,
    first: Tensor,
    factors: Tensor,
    thresholds: Tensor,
    cutoffs: Tensor,
    normals: Tensor,
    *shape: int,
    NORMALIZE: str,
    QUANTIZE: bool,
    UPPER: bool,
    **tile: int | bool,
) -> None:
    """What ``find_threshold`` writes, by ``parts`` programs a map; the arguments are those of that kernel."""
    maps = len(thresholds)
    h, stride, length, tiles, pixels, k, *bits = shape
    found = cutoffs.new_empty((_PASSES + 2, maps, parts, 3), dtype=torch.int32)
    states = cutoffs.new_empty((_PASSES, maps, 4), dtype=torch.int32)
    source, sizes = (rows, first, factors, found), (maps, parts, h, stride, length, tiles)
    across = power_of_two(parts)
    _begin[(maps * parts,)](*source, *sizes, **tile)
    for turn in range(_PASSES):
        _pass[(maps * parts,)](*source, states, turn, *sizes, pixels, k, **tile, P=across)
    _end[(maps * parts,)](*source, states, _PASSES, *sizes, pixels, k, **tile, P=across)
    _conclude[(maps,)](
        found, states, thresholds, cutoffs, normals, _PASSES, maps, parts, pixels, k, *bits,
        NORMALIZE=NORMALIZE, QUANTIZE=QUANTIZE, UPPER=UPPER, P=across, num_warps=4, enable_fp_fusion=False,
    )  # fmt: skip
