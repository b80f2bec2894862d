"""Runs of set pixels in packed masks, as a program finds them in one mask, and which run starts at or before a pixel.

Words of 32 bits are lanes, in tiles of T. Runs are numbered in raster order:

    rank   (words)  how many runs start before a word
    first  (runs)   x of the first pixel | y << 16
    end    (runs)   x behind the last pixel
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["any_of", "find_runs", "last_start"]


@triton.jit
def _popcount(x):
    x = x - ((x >> 1) & 0x55555555)
    x = (x & 0x33333333) + ((x >> 2) & 0x33333333)
    x = (x + (x >> 4)) & 0x0F0F0F0F
    return ((x * 0x01010101) >> 24).to(tl.int32)


@triton.jit
def _not(x):
    return x ^ 0xFFFFFFFF  # the interpreter has no ~ of unsigned numbers


@triton.jit
def any_of(true):
    """Whether any lane holds true."""
    return tl.max(true.to(tl.int32), 0) != 0


@triton.jit
def _word(bits, g, there):
    return tl.load(bits + g, mask=there, other=0).to(tl.uint32, bitcast=True)


@triton.jit
def last_start(bits, rank, row, y, x, there):
    """The last run that starts at or before pixel (y, x), which lies inside; it may lie in a row above."""
    k = x >> 5
    g = y * row + k
    word = _word(bits, g, there)
    carry = _word(bits, g - 1, there & (k > 0)) >> 31
    starts = word & _not((word << 1) | carry)
    up_to = tl.full(x.shape, 0xFFFFFFFF, tl.uint32) >> (31 - (x & 31)).to(tl.uint32)
    return tl.load(rank + g, mask=there, other=0) + _popcount(starts & up_to) - 1


@triton.jit
def find_runs(bits, rank, first, end, width, row, words, capacity, T: tl.constexpr):
    """Fill rank, first and end; return how many runs there are, also where they do not fit."""
    total = tl.cast(0, tl.int32)
    for start in range(0, words, T):
        g = start + tl.arange(0, T)
        there = g < words
        y = g // row
        k = g - y * row
        inside = tl.minimum(tl.maximum(width - k * 32, 0), 32)
        valid = tl.where(inside > 0, tl.full((T,), 0xFFFFFFFF, tl.uint32) >> ((32 - inside) & 31).to(tl.uint32), 0)
        x = _word(bits, g, there) & valid
        carry = _word(bits, g - 1, there & (k > 0) & (k * 32 <= width)) >> 31
        before = (x << 1) | carry
        starts = x & _not(before)
        ends = before & _not(x)
        many = _popcount(starts)
        at = total + tl.cumsum(many, 0) - many
        total += tl.sum(many, 0)
        tl.store(rank + g, at, mask=there)
        # A run that reaches the last bit of the last word has no word behind it to end in.
        tl.store(end + at + many - 1, width, mask=((x >> 31) != 0) & (k == row - 1) & (at + many <= capacity))
        ending = at - carry.to(tl.int32)
        base = k * 32
        code = (y << 16) | base
        i = tl.cast(0, tl.int32)
        while any_of((starts | ends) != 0):
            rest = starts & (starts - 1)
            tl.store(first + at + i, code + _popcount((starts ^ rest) - 1), mask=(starts != 0) & (at + i < capacity))
            starts = rest
            rest = ends & (ends - 1)
            tl.store(end + ending + i, base + _popcount((ends ^ rest) - 1), mask=(ends != 0) & (ending + i < capacity))
            ends = rest
            i += 1
    return total
