"""The exact percentile of a resized map that is never made, and the threshold from it (Eq. 3, 6).

An order statistic is found by counting the values at or below a pivot. A pass counts for three pivots: two beside where
the statistic would be if the values were spread evenly, and one that halves the range of keys, so that there are never
more than 33 passes.

Between two rows of a small map, a bilinear column rises or falls throughout: of its pixels, in the order of their
factors, the first ones lie at or below a pivot and the rest above (or the other way round, where it falls). So a binary
search of a few steps counts them, 5 for the 16 pixels of 14 rows resized to 224. Other maps are counted pixel by pixel.
"""

from __future__ import annotations

import math

import triton
import triton.language as tl
from fastcam.kernels.keys import halfway, key_of, of_key
from fastcam.kernels.resize import pixel_tile, segment_tile
from fastcam.kernels.threshold import write_threshold

__all__ = ["beside", "counts", "extremes", "find_threshold", "narrowed", "pivots", "rank"]

_INFINITY = tl.constexpr(float("inf"))


@triton.jit
def _leading(a, rise, factors, pivot, STEPS: tl.constexpr):
    """How many of a segment's first pixels lie on one side of the pivot: up to it, or beyond it where it falls."""
    falls = rise < 0
    found = tl.zeros(a.shape, tl.int32)
    p = factors + found  # updated with found: less work than computing the address in each step
    for step in tl.static_range(STEPS):
        v = a + rise * tl.load(p + ((1 << (STEPS - 1 - step)) - 1))
        more = (v <= pivot) != falls
        p = tl.where(more, p + (1 << (STEPS - 1 - step)), p)
        found = tl.where(more, found + (1 << (STEPS - 1 - step)), found)
    return found


@triton.jit
def _up_to(a, rise, factors, many, pivot, STEPS: tl.constexpr):
    """How many pixels of each segment lie at or below the pivot."""
    found = _leading(a, rise, factors, pivot, STEPS)
    return tl.where(rise < 0, many - found, found)


@triton.jit
def _one(true):
    """1 where true, else 0; by way of float32, as the compiler would pack sums of booleans into bits first."""
    return tl.where(true, 1.0, 0.0).to(tl.int32)


@triton.jit
def extremes(
    rows, first, factors, last, length, stride, begin, end,
    TAPS: tl.constexpr, STEPS: tl.constexpr, R: tl.constexpr, Y: tl.constexpr, X: tl.constexpr,
):  # fmt: skip
    """The smallest and the largest value of some tiles, and how many values are not NaN."""
    low = tl.full((Y, X), _INFINITY, tl.float32)
    high = tl.full((Y, X), -_INFINITY, tl.float32)
    numbers = tl.zeros((Y, X), tl.int32)
    for tile in range(begin, end):
        for r in tl.static_range(R):
            if STEPS:
                a, rise, table, many = segment_tile(rows, first, factors, last, stride, tile, r, STEPS, R, Y, X)
                v = a + rise * tl.load(table)
                w = a + rise * tl.load(table + tl.maximum(many - 1, 0))
                valid = (v == v) & (many > 0)
                low = tl.minimum(low, tl.where(valid, tl.minimum(v, w), _INFINITY))
                high = tl.maximum(high, tl.where(valid, tl.maximum(v, w), -_INFINITY))
                numbers += tl.where(valid, many, 0)
            else:
                v = pixel_tile(rows, first, factors, last, length, stride, tile, r, TAPS, R, Y, X)
                low = tl.minimum(low, tl.where(v == v, v, _INFINITY))
                high = tl.maximum(high, tl.where(v == v, v, -_INFINITY))
                numbers += _one(v == v)
    return tl.min(low) + 0.0, tl.max(high) + 0.0, tl.sum(numbers)  # no zero is negative, whatever the order


@triton.jit
def counts(
    rows, first, factors, last, length, stride, begin, end, p0, p1, p2,
    TAPS: tl.constexpr, STEPS: tl.constexpr, R: tl.constexpr, Y: tl.constexpr, X: tl.constexpr,
):  # fmt: skip
    """How many values of some tiles lie at or below each of three pivots."""
    c0 = tl.zeros((Y, X), tl.int32)
    c1 = tl.zeros((Y, X), tl.int32)
    c2 = tl.zeros((Y, X), tl.int32)
    for tile in range(begin, end):
        for r in tl.static_range(R):
            if STEPS:
                a, rise, table, many = segment_tile(rows, first, factors, last, stride, tile, r, STEPS, R, Y, X)
                c0 += _up_to(a, rise, table, many, p0, STEPS)
                c1 += _up_to(a, rise, table, many, p1, STEPS)
                c2 += _up_to(a, rise, table, many, p2, STEPS)
            else:
                v = pixel_tile(rows, first, factors, last, length, stride, tile, r, TAPS, R, Y, X)
                c0 += _one(v <= p0)
                c1 += _one(v <= p1)
                c2 += _one(v <= p2)
    return tl.sum(c0), tl.sum(c1), tl.sum(c2)


@triton.jit
def beside(
    rows, first, factors, last, length, stride, begin, end, pivot,
    TAPS: tl.constexpr, STEPS: tl.constexpr, R: tl.constexpr, Y: tl.constexpr, X: tl.constexpr,
):  # fmt: skip
    """The largest value of some tiles up to the pivot, and the smallest beyond it."""
    low = tl.full((Y, X), -_INFINITY, tl.float32)
    high = tl.full((Y, X), _INFINITY, tl.float32)
    for tile in range(begin, end):
        for r in tl.static_range(R):
            if STEPS:
                a, rise, table, many = segment_tile(rows, first, factors, last, stride, tile, r, STEPS, R, Y, X)
                found = _leading(a, rise, table, pivot, STEPS)
                v = a + rise * tl.load(table + tl.maximum(found - 1, 0))
                low = tl.maximum(low, tl.where((found > 0) & (v <= pivot), v, -_INFINITY))
                high = tl.minimum(high, tl.where((found > 0) & (v > pivot), v, _INFINITY))
                v = a + rise * tl.load(table + tl.minimum(found, tl.maximum(many - 1, 0)))
                low = tl.maximum(low, tl.where((found < many) & (v <= pivot), v, -_INFINITY))
                high = tl.minimum(high, tl.where((found < many) & (v > pivot), v, _INFINITY))
            else:
                v = pixel_tile(rows, first, factors, last, length, stride, tile, r, TAPS, R, Y, X)
                low = tl.maximum(low, tl.where(v <= pivot, v, -_INFINITY))
                high = tl.minimum(high, tl.where(v > pivot, v, _INFINITY))
    return tl.max(low) + 0.0, tl.min(high) + 0.0


@triton.jit
def pivots(low_key, high_key, below, up_to, k):
    """Keys in [low_key, high_key): two around where the k-th value should be, and the one in the middle."""
    bottom = of_key(low_key)
    span = of_key(high_key) - bottom
    between = (up_to - below).to(tl.float32)
    aim = ((k - below).to(tl.float32) + 0.5) / between
    # Of evenly spread values, the k-th rarely lies farther from the aim than this.
    margin = 0.6 / between + 0.05
    p0 = bottom + span * (aim - margin)
    p1 = bottom + span * (aim + margin)
    k2 = halfway(low_key, high_key)
    # Where the arithmetic overflowed to NaN, the middle stands in.
    k0 = tl.minimum(tl.maximum(tl.where(p0 == p0, key_of(p0), k2), low_key), high_key - 1)
    k1 = tl.minimum(tl.maximum(tl.where(p1 == p1, key_of(p1), k2), low_key), high_key - 1)
    return k0, k1, k2


@triton.jit
def _narrowed(low_key, high_key, below, up_to, key, count, k):
    """The invariant after ``count`` values were found at or below ``key``."""
    lower = (count > k) & (key < high_key)
    higher = (count <= k) & (key >= low_key)
    high_key = tl.where(lower, key, high_key)
    up_to = tl.where(lower, count, up_to)
    low_key = tl.where(higher, key + 1, low_key)
    below = tl.where(higher, count, below)
    return low_key, high_key, below, up_to


@triton.jit
def narrowed(low_key, high_key, below, up_to, k0, k1, k2, c0, c1, c2, k):
    """The invariant after as many values as c0 to c2 were found at or below each pivot."""
    low_key, high_key, below, up_to = _narrowed(low_key, high_key, below, up_to, k0, c0, k)
    low_key, high_key, below, up_to = _narrowed(low_key, high_key, below, up_to, k1, c1, k)
    return _narrowed(low_key, high_key, below, up_to, k2, c2, k)


@triton.jit
def _order_statistics(
    rows, first, factors, last, length, stride, tiles, pixels, k,
    TAPS: tl.constexpr, STEPS: tl.constexpr, R: tl.constexpr, Y: tl.constexpr, X: tl.constexpr,
):  # fmt: skip
    """Smallest and largest value, the k-th and the one after it, and whether there is a NaN among them.

    With STEPS, ``first`` and ``factors`` are those of the segments, with which the map is bilinear.
    """
    smallest, largest, numbers = extremes(rows, first, factors, last, length, stride, 0, tiles, TAPS, STEPS, R, Y, X)
    nan = numbers != pixels

    # Invariant: at most k values lie below low_key, and more than k lie at or below high_key.
    low_key = key_of(smallest)
    high_key = tl.where(nan, low_key, key_of(largest))
    below = tl.cast(0, tl.int32)
    up_to = tl.cast(pixels, tl.int32)
    while (low_key < high_key) & (up_to != k + 1):
        k0, k1, k2 = pivots(low_key, high_key, below, up_to, k)
        c0, c1, c2 = counts(
            rows, first, factors, last, length, stride, 0, tiles, of_key(k0), of_key(k1), of_key(k2),
            TAPS, STEPS, R, Y, X,
        )  # fmt: skip
        low_key, high_key, below, up_to = narrowed(low_key, high_key, below, up_to, k0, k1, k2, c0, c1, c2, k)

    # No value lies between the k-th and high_key: the largest up to there is the k-th, the smallest beyond is the next.
    pivot = of_key(high_key)
    kth, beyond = beside(rows, first, factors, last, length, stride, 0, tiles, pivot, TAPS, STEPS, R, Y, X)
    after = tl.where((up_to > k + 1) | (k + 1 == pixels), kth, beyond)
    return smallest, largest, kth, after, nan


@triton.jit(do_not_specialize=["h", "length", "tiles", "pixels", "k", "factor_bits", "theta_bits"])
def find_threshold(
    rows, first, factors, thresholds, cutoffs, normals, h, stride, length, tiles, pixels, k, factor_bits, theta_bits,
    TAPS: tl.constexpr, STEPS: tl.constexpr, NORMALIZE: tl.constexpr, QUANTIZE: tl.constexpr, UPPER: tl.constexpr,
    R: tl.constexpr, Y: tl.constexpr, X: tl.constexpr,
):  # fmt: skip
    """Write one map's threshold, the raw value it stands for (its cutoff), and its normalization."""
    n = tl.program_id(0).to(tl.int64)
    smallest, largest, kth, after, nan = _order_statistics(
        rows + n * h * stride, first, factors, h - 1, length, stride, tiles, pixels, k, TAPS, STEPS, R, Y, X
    )
    write_threshold(
        n, smallest, largest, kth, after, nan, thresholds, cutoffs, normals, factor_bits, theta_bits,
        NORMALIZE, QUANTIZE, UPPER,
    )  # fmt: skip


def rank(count: int, q: float) -> tuple[int, float, bool]:
    """Which order statistic a percentile lies above, how far from the nearer one, and whether that is the upper."""
    virtual = (count - 1) * (q / 100)
    k = min(math.floor(virtual), count - 1)
    gamma = virtual - k
    return (k, gamma, False) if gamma < 0.5 else (k, 1 - gamma, True)
