"""The exact order statistic of a resized map that is never made: by counting what lies at or below a pivot.

A pass counts for three pivots, two beside where the statistic should be if the values were spread evenly, and one that
halves the range of keys, so that there are never more than 33 passes.

Between two rows of a small map, a bilinear column never turns: of its pixels, in the order of their factors, the first
ones lie at or below a pivot and the rest above (or the other way around, where it falls). So a binary search of a few
steps counts them, 5 for the 16 pixels of 14 rows resized to 224. Other maps are counted pixel by pixel.
"""

from __future__ import annotations

import triton
import triton.language as tl
from fastcam.kernels.resize import resized

__all__ = ["halfway", "key_of", "of_key", "order_statistics"]

_INFINITY = tl.constexpr(float("inf"))
_MAGNITUDE = tl.constexpr(0x7FFFFFFF)


@triton.jit
def key_of(x):
    """Integers in the order of floats; both zeros have the key 0."""
    bits = x.to(tl.int32, bitcast=True)
    return tl.where(bits < 0, -(bits & _MAGNITUDE), bits)


@triton.jit
def of_key(key):
    """The float of :func:`key_of`."""
    magnitude = tl.where(key < 0, -key, key).to(tl.float32, bitcast=True)
    return tl.where(key < 0, -magnitude, magnitude)


@triton.jit
def halfway(a, b):
    """The key in the middle, rounded down."""
    return ((a.to(tl.int64) + b.to(tl.int64)) >> 1).to(tl.int32)


@triton.jit
def _lines(tile, stride, R: tl.constexpr, Y: tl.constexpr, X: tl.constexpr):
    """Where a tile's pixels lie: rows (R, Y, 1), of which a thread holds all R, and columns (1, 1, X)."""
    blocks = stride // X
    y = tl.arange(0, R)[:, None, None] * Y + tl.arange(0, Y)[None, :, None]
    return tile // blocks * (R * Y) + y, tile % blocks * X + tl.arange(0, X)[None, None, :]


@triton.jit
def _pixels(rows, first, factors, last, length, stride, tile, TAPS: tl.constexpr, R: tl.constexpr, Y: tl.constexpr,
            X: tl.constexpr):  # fmt: skip
    """Tile ``tile`` of the full-size map, (R, Y, X); NaN beyond its edges."""
    y, x = _lines(tile, stride, R, Y, X)
    return resized(rows, stride, x, first, factors, last, length, y, TAPS)


@triton.jit
def _segments(rows, lengths, factors, last, stride, tile, STEPS: tl.constexpr, R: tl.constexpr, Y: tl.constexpr,
              X: tl.constexpr):  # fmt: skip
    """Tile ``tile`` of the segments, (R, Y, X): the row above, the rise to that below, factors, number of pixels."""
    cell, x = _lines(tile, stride, R, Y, X)
    a = tl.load(rows + tl.minimum(cell, last) * stride + x)
    b = tl.load(rows + tl.minimum(cell + 1, last) * stride + x)
    return a, b - a, factors + (cell << STEPS), tl.load(lengths + cell)


@triton.jit
def _leading(a, rise, factors, pivot, STEPS: tl.constexpr):
    """How many of a segment's first pixels lie on one side of the pivot: up to it, or beyond it where it falls."""
    falls = rise < 0
    found = tl.zeros(a.shape, tl.int32)
    p = factors + found  # carried along, which is less work than the address of what is found
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
def _number(true):
    """How many of a thread's are true, in float32, which the compiler does not collect as bits first."""
    return tl.sum(tl.where(true, 1.0, 0.0), 0).to(tl.int32)


@triton.jit
def order_statistics(
    rows, first, factors, last, length, stride, tiles, pixels_there, k,
    TAPS: tl.constexpr, STEPS: tl.constexpr, R: tl.constexpr, Y: tl.constexpr, X: tl.constexpr,
):  # fmt: skip
    """Smallest and largest value, the k-th and the one after it, and whether there is a NaN among them.

    With STEPS, ``first`` and ``factors`` are those of the segments, with which the map is bilinear.
    """
    low = tl.full((Y, X), _INFINITY, tl.float32)
    high = tl.full((Y, X), -_INFINITY, tl.float32)
    numbers = tl.zeros((Y, X), tl.int32)
    for tile in range(0, tiles):
        if STEPS:
            a, rise, table, many = _segments(rows, first, factors, last, stride, tile, STEPS, R, Y, X)
            v = a + rise * tl.load(table)
            w = a + rise * tl.load(table + tl.maximum(many - 1, 0))
            there = (v == v) & (many > 0)
            low = tl.minimum(low, tl.min(tl.where(there, tl.minimum(v, w), _INFINITY), 0))
            high = tl.maximum(high, tl.max(tl.where(there, tl.maximum(v, w), -_INFINITY), 0))
            numbers += tl.sum(tl.where(there, many, 0), 0)
        else:
            v = _pixels(rows, first, factors, last, length, stride, tile, TAPS, R, Y, X)
            low = tl.minimum(low, tl.min(tl.where(v == v, v, _INFINITY), 0))
            high = tl.maximum(high, tl.max(tl.where(v == v, v, -_INFINITY), 0))
            numbers += _number(v == v)
    smallest = tl.min(low)
    largest = tl.max(high)
    nan = tl.sum(numbers) != pixels_there

    # Invariant: at most k values lie below low_key, and more than k lie at or below high_key.
    low_key = key_of(smallest)
    high_key = tl.where(nan, low_key, key_of(largest))
    below = tl.cast(0, tl.int32)
    up_to = tl.cast(pixels_there, tl.int32)
    while (low_key < high_key) & (up_to != k + 1):
        bottom = of_key(low_key)
        span = of_key(high_key) - bottom
        between = (up_to - below).to(tl.float32)
        aim = ((k - below).to(tl.float32) + 0.5) / between
        # Of values spread evenly, this much beside the aim is rarely missed; more while they are many.
        margin = 0.6 / between + 0.05
        k2 = halfway(low_key, high_key)
        p0 = bottom + span * (aim - margin)
        p1 = bottom + span * (aim + margin)
        # What overflowed is as good a pivot as any: between the two keys, the last excluded.
        k0 = tl.minimum(tl.maximum(tl.where(p0 == p0, key_of(p0), k2), low_key), high_key - 1)
        k1 = tl.minimum(tl.maximum(tl.where(p1 == p1, key_of(p1), k2), low_key), high_key - 1)
        p0 = of_key(k0)
        p1 = of_key(k1)
        p2 = of_key(k2)
        c0 = tl.zeros((Y, X), tl.int32)
        c1 = tl.zeros((Y, X), tl.int32)
        c2 = tl.zeros((Y, X), tl.int32)
        for tile in range(0, tiles):
            if STEPS:
                a, rise, table, many = _segments(rows, first, factors, last, stride, tile, STEPS, R, Y, X)
                c0 += _up_to(a, rise, table, many, p0, STEPS)
                c1 += _up_to(a, rise, table, many, p1, STEPS)
                c2 += _up_to(a, rise, table, many, p2, STEPS)
            else:
                v = _pixels(rows, first, factors, last, length, stride, tile, TAPS, R, Y, X)
                c0 += _number(v <= p0)
                c1 += _number(v <= p1)
                c2 += _number(v <= p2)
        low_key, high_key, below, up_to = _narrowed(low_key, high_key, below, up_to, k0, tl.sum(c0), k)
        low_key, high_key, below, up_to = _narrowed(low_key, high_key, below, up_to, k1, tl.sum(c1), k)
        low_key, high_key, below, up_to = _narrowed(low_key, high_key, below, up_to, k2, tl.sum(c2), k)

    # Nothing lies between the k-th value and high: the largest up to there is it, the smallest beyond comes next.
    pivot = of_key(high_key)
    low = tl.full((Y, X), -_INFINITY, tl.float32)
    high = tl.full((Y, X), _INFINITY, tl.float32)
    for tile in range(0, tiles):
        if STEPS:
            a, rise, table, many = _segments(rows, first, factors, last, stride, tile, STEPS, R, Y, X)
            found = _leading(a, rise, table, pivot, STEPS)
            v = a + rise * tl.load(table + tl.maximum(found - 1, 0))
            low = tl.maximum(low, tl.max(tl.where((found > 0) & (v <= pivot), v, -_INFINITY), 0))
            high = tl.minimum(high, tl.min(tl.where((found > 0) & (v > pivot), v, _INFINITY), 0))
            v = a + rise * tl.load(table + tl.minimum(found, tl.maximum(many - 1, 0)))
            low = tl.maximum(low, tl.max(tl.where((found < many) & (v <= pivot), v, -_INFINITY), 0))
            high = tl.minimum(high, tl.min(tl.where((found < many) & (v > pivot), v, _INFINITY), 0))
        else:
            v = _pixels(rows, first, factors, last, length, stride, tile, TAPS, R, Y, X)
            low = tl.maximum(low, tl.max(tl.where(v <= pivot, v, -_INFINITY), 0))
            high = tl.minimum(high, tl.min(tl.where(v > pivot, v, _INFINITY), 0))
    kth = tl.max(low)
    after = tl.where((up_to > k + 1) | (k + 1 == pixels_there), kth, tl.min(high))
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
