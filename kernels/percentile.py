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
from fastcam.kernels.normalization import level, normalization, scaled
from fastcam.kernels.resize import pixel_tile, segment_tile

__all__ = ["find_threshold", "rank"]

_INFINITY = tl.constexpr(float("inf"))
_NAN = tl.constexpr(float("nan"))
_MAGNITUDE = tl.constexpr(0x7FFFFFFF)


@triton.jit
def _key_of(x):
    """Integers in the order of floats; both zeros have the key 0."""
    bits = x.to(tl.int32, bitcast=True)
    return tl.where(bits < 0, -(bits & _MAGNITUDE), bits)


@triton.jit
def _of_key(key):
    """The float of :func:`_key_of`."""
    magnitude = tl.where(key < 0, -key, key).to(tl.float32, bitcast=True)
    return tl.where(key < 0, -magnitude, magnitude)


@triton.jit
def _halfway(a, b):
    """The key in the middle, rounded down."""
    return ((a.to(tl.int64) + b.to(tl.int64)) >> 1).to(tl.int32)


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
    """How many pixels of each segment lie at or below the pivot, summed over those of a thread."""
    found = _leading(a, rise, factors, pivot, STEPS)
    return tl.sum(tl.where(rise < 0, many - found, found), 0)


@triton.jit
def _count(true):
    """How many of a thread's values are true; in float32, as the compiler would pack booleans into bits first."""
    return tl.sum(tl.where(true, 1.0, 0.0), 0).to(tl.int32)


@triton.jit
def _extremes(
    rows, first, factors, last, length, stride, tiles,
    TAPS: tl.constexpr, STEPS: tl.constexpr, R: tl.constexpr, Y: tl.constexpr, X: tl.constexpr,
):  # fmt: skip
    """The smallest and the largest value, and how many values are not NaN."""
    low = tl.full((Y, X), _INFINITY, tl.float32)
    high = tl.full((Y, X), -_INFINITY, tl.float32)
    numbers = tl.zeros((Y, X), tl.int32)
    for tile in range(0, tiles):
        if STEPS:
            a, rise, table, many = segment_tile(rows, first, factors, last, stride, tile, STEPS, R, Y, X)
            v = a + rise * tl.load(table)
            w = a + rise * tl.load(table + tl.maximum(many - 1, 0))
            valid = (v == v) & (many > 0)
            low = tl.minimum(low, tl.min(tl.where(valid, tl.minimum(v, w), _INFINITY), 0))
            high = tl.maximum(high, tl.max(tl.where(valid, tl.maximum(v, w), -_INFINITY), 0))
            numbers += tl.sum(tl.where(valid, many, 0), 0)
        else:
            v = pixel_tile(rows, first, factors, last, length, stride, tile, TAPS, R, Y, X)
            low = tl.minimum(low, tl.min(tl.where(v == v, v, _INFINITY), 0))
            high = tl.maximum(high, tl.max(tl.where(v == v, v, -_INFINITY), 0))
            numbers += _count(v == v)
    return tl.min(low), tl.max(high), tl.sum(numbers)


@triton.jit
def _counts(
    rows, first, factors, last, length, stride, tiles, p0, p1, p2,
    TAPS: tl.constexpr, STEPS: tl.constexpr, R: tl.constexpr, Y: tl.constexpr, X: tl.constexpr,
):  # fmt: skip
    """How many values lie at or below each of three pivots."""
    c0 = tl.zeros((Y, X), tl.int32)
    c1 = tl.zeros((Y, X), tl.int32)
    c2 = tl.zeros((Y, X), tl.int32)
    for tile in range(0, tiles):
        if STEPS:
            a, rise, table, many = segment_tile(rows, first, factors, last, stride, tile, STEPS, R, Y, X)
            c0 += _up_to(a, rise, table, many, p0, STEPS)
            c1 += _up_to(a, rise, table, many, p1, STEPS)
            c2 += _up_to(a, rise, table, many, p2, STEPS)
        else:
            v = pixel_tile(rows, first, factors, last, length, stride, tile, TAPS, R, Y, X)
            c0 += _count(v <= p0)
            c1 += _count(v <= p1)
            c2 += _count(v <= p2)
    return tl.sum(c0), tl.sum(c1), tl.sum(c2)


@triton.jit
def _beside(
    rows, first, factors, last, length, stride, tiles, pivot,
    TAPS: tl.constexpr, STEPS: tl.constexpr, R: tl.constexpr, Y: tl.constexpr, X: tl.constexpr,
):  # fmt: skip
    """The largest value up to the pivot, and the smallest beyond it."""
    low = tl.full((Y, X), -_INFINITY, tl.float32)
    high = tl.full((Y, X), _INFINITY, tl.float32)
    for tile in range(0, tiles):
        if STEPS:
            a, rise, table, many = segment_tile(rows, first, factors, last, stride, tile, STEPS, R, Y, X)
            found = _leading(a, rise, table, pivot, STEPS)
            v = a + rise * tl.load(table + tl.maximum(found - 1, 0))
            low = tl.maximum(low, tl.max(tl.where((found > 0) & (v <= pivot), v, -_INFINITY), 0))
            high = tl.minimum(high, tl.min(tl.where((found > 0) & (v > pivot), v, _INFINITY), 0))
            v = a + rise * tl.load(table + tl.minimum(found, tl.maximum(many - 1, 0)))
            low = tl.maximum(low, tl.max(tl.where((found < many) & (v <= pivot), v, -_INFINITY), 0))
            high = tl.minimum(high, tl.min(tl.where((found < many) & (v > pivot), v, _INFINITY), 0))
        else:
            v = pixel_tile(rows, first, factors, last, length, stride, tile, TAPS, R, Y, X)
            low = tl.maximum(low, tl.max(tl.where(v <= pivot, v, -_INFINITY), 0))
            high = tl.minimum(high, tl.min(tl.where(v > pivot, v, _INFINITY), 0))
    return tl.max(low), tl.min(high)


@triton.jit
def _pivots(low_key, high_key, below, up_to, k):
    """Keys in [low_key, high_key): two around where the k-th value should be, and the one in the middle."""
    bottom = _of_key(low_key)
    span = _of_key(high_key) - bottom
    between = (up_to - below).to(tl.float32)
    aim = ((k - below).to(tl.float32) + 0.5) / between
    # Of evenly spread values, the k-th rarely lies farther from the aim than this.
    margin = 0.6 / between + 0.05
    p0 = bottom + span * (aim - margin)
    p1 = bottom + span * (aim + margin)
    k2 = _halfway(low_key, high_key)
    # Where the arithmetic overflowed to NaN, the middle stands in.
    k0 = tl.minimum(tl.maximum(tl.where(p0 == p0, _key_of(p0), k2), low_key), high_key - 1)
    k1 = tl.minimum(tl.maximum(tl.where(p1 == p1, _key_of(p1), k2), low_key), high_key - 1)
    return k0, k1, k2


@triton.jit
def _order_statistics(
    rows, first, factors, last, length, stride, tiles, pixels, k,
    TAPS: tl.constexpr, STEPS: tl.constexpr, R: tl.constexpr, Y: tl.constexpr, X: tl.constexpr,
):  # fmt: skip
    """Smallest and largest value, the k-th and the one after it, and whether there is a NaN among them.

    With STEPS, ``first`` and ``factors`` are those of the segments, with which the map is bilinear.
    """
    smallest, largest, numbers = _extremes(rows, first, factors, last, length, stride, tiles, TAPS, STEPS, R, Y, X)
    nan = numbers != pixels

    # Invariant: at most k values lie below low_key, and more than k lie at or below high_key.
    low_key = _key_of(smallest)
    high_key = tl.where(nan, low_key, _key_of(largest))
    below = tl.cast(0, tl.int32)
    up_to = tl.cast(pixels, tl.int32)
    while (low_key < high_key) & (up_to != k + 1):
        k0, k1, k2 = _pivots(low_key, high_key, below, up_to, k)
        c0, c1, c2 = _counts(
            rows, first, factors, last, length, stride, tiles, _of_key(k0), _of_key(k1), _of_key(k2),
            TAPS, STEPS, R, Y, X,
        )  # fmt: skip
        low_key, high_key, below, up_to = _narrowed(low_key, high_key, below, up_to, k0, c0, k)
        low_key, high_key, below, up_to = _narrowed(low_key, high_key, below, up_to, k1, c1, k)
        low_key, high_key, below, up_to = _narrowed(low_key, high_key, below, up_to, k2, c2, k)

    # No value lies between the k-th and high_key: the largest up to there is the k-th, the smallest beyond is the next.
    pivot = _of_key(high_key)
    kth, beyond = _beside(rows, first, factors, last, length, stride, tiles, pivot, TAPS, STEPS, R, Y, X)
    after = tl.where((up_to > k + 1) | (k + 1 == pixels), kth, beyond)
    return smallest, largest, kth, after, nan


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
def _between(a, b, factor, UPPER: tl.constexpr):
    """NumPy's percentile between the two order statistics: from below, or from above where that is nearer."""
    step = (b - a) * factor
    return b - step if UPPER else a + step


@triton.jit
def _exceeds(key, threshold, offset, span, low, high, QUANTIZE: tl.constexpr):
    x = _of_key(key)
    value = level(x, offset, span, low, high) if QUANTIZE else scaled(x, offset, span, low, high)
    return value.to(tl.float32) > threshold


@triton.jit
def _raw_cutoff(threshold, offset, span, low, high, QUANTIZE: tl.constexpr):
    """The largest raw value whose normalized one does not exceed the threshold."""
    below = _key_of(tl.cast(-_INFINITY, tl.float32))
    above = _key_of(tl.cast(_INFINITY, tl.float32))
    if _exceeds(above, threshold, offset, span, low, high, QUANTIZE):
        while below + 1 < above:
            middle = _halfway(below, above)
            over = _exceeds(middle, threshold, offset, span, low, high, QUANTIZE)
            above = tl.where(over, middle, above)
            below = tl.where(over, below, middle)
    else:
        below = above
    return _of_key(below)


@triton.jit
def _threshold(
    kth, after, nan, offset, span, low, high, factor, theta,
    NORMALIZE: tl.constexpr, QUANTIZE: tl.constexpr, UPPER: tl.constexpr,
):  # fmt: skip
    """The threshold in the units of the normalized map, and the raw value that it stands for."""
    if QUANTIZE:
        a = level(kth, offset, span, low, high).to(tl.float64)
        b = level(after, offset, span, low, high).to(tl.float64)
        threshold = tl.floor(_between(a, b, factor, UPPER) * theta).to(tl.float32)
    elif NORMALIZE == "none":
        threshold = _between(kth, after, factor.to(tl.float32), UPPER) * theta.to(tl.float32)
    else:
        a = scaled(kth, offset, span, low, high).to(tl.float32)
        b = scaled(after, offset, span, low, high).to(tl.float32)
        threshold = _between(a, b, factor.to(tl.float32), UPPER) * theta.to(tl.float32)
    if NORMALIZE == "none":
        threshold = tl.where(nan, _NAN, threshold)
    if QUANTIZE or NORMALIZE != "none":
        cutoff = _raw_cutoff(threshold, offset, span, low, high, QUANTIZE)
    else:
        cutoff = threshold
    return threshold, cutoff


@triton.jit(do_not_specialize=["h", "length", "tiles", "pixels", "k", "factor_bits", "theta_bits"])
def find_threshold(
    rows, first, factors, thresholds, cutoffs, normals, h, stride, length, tiles, pixels, k, factor_bits, theta_bits,
    TAPS: tl.constexpr, STEPS: tl.constexpr, NORMALIZE: tl.constexpr, QUANTIZE: tl.constexpr, UPPER: tl.constexpr,
    R: tl.constexpr, Y: tl.constexpr, X: tl.constexpr,
):  # fmt: skip
    """Write one map's threshold, the raw value it stands for (its cutoff), and its normalization."""
    n = tl.program_id(0).to(tl.int64)
    factor = tl.cast(factor_bits, tl.int64).to(tl.float64, bitcast=True)
    theta = tl.cast(theta_bits, tl.int64).to(tl.float64, bitcast=True)
    smallest, largest, kth, after, nan = _order_statistics(
        rows + n * h * stride, first, factors, h - 1, length, stride, tiles, pixels, k, TAPS, STEPS, R, Y, X
    )
    reference = _between(kth, after, factor.to(tl.float32), UPPER)
    offset, span, low, high = normalization(smallest, largest, reference, nan, NORMALIZE)
    threshold, cutoff = _threshold(kth, after, nan, offset, span, low, high, factor, theta, NORMALIZE, QUANTIZE, UPPER)
    tl.store(thresholds + n, threshold)
    tl.store(cutoffs + n, cutoff)
    tl.store(normals + n * 4, offset)
    tl.store(normals + n * 4 + 1, span)
    tl.store(normals + n * 4 + 2, low)
    tl.store(normals + n * 4 + 3, high)


def rank(count: int, q: float) -> tuple[int, float, bool]:
    """Which order statistic a percentile lies above, how far from the nearer one, and whether that is the upper."""
    virtual = (count - 1) * (q / 100)
    k = min(math.floor(virtual), count - 1)
    gamma = virtual - k
    return (k, gamma, False) if gamma < 0.5 else (k, 1 - gamma, True)
