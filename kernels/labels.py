"""Which runs of a mask belong together: a union-find whose roots are minima, so that they depend on no order.

Runs are lanes, in tiles of R, and no lane loops over its own contacts. Two edges a run cover all contacts of two rows:
each run is joined to the first run above that it touches, and two neighbours of a row are joined where one run below
touches both. As roots are minima, the root is the run with the component's first pixel in raster order.

The background between the runs is labelled with them, where polygon areas are asked for: by the other connectivity, and
as one region wherever it reaches the border. Its region number j lies between run j - 1 and run j; between the last run
of a row and the first of a later one it is the border, as number 0 is. Two such neighbours are joined where the run
between them touches none below.

    parent  (runs)      of the runs
    ground  (runs + 1)  of the background
    end     (runs)      as runs.py has it, with two flags: JOINED, joined to the next run; OPEN, touches none below
"""

from __future__ import annotations

import triton
import triton.language as tl
from fastcam.kernels.runs import any_of, last_start

__all__ = ["label"]

_JOINED = tl.constexpr(0x10000)
_OPEN = tl.constexpr(0x20000)


@triton.jit
def _link(bits, rank, first, end, parent, height, width, row, total, REACH: tl.constexpr, R: tl.constexpr):
    """Join each run to the first one above that it touches, set the flags; returns whether any run is JOINED."""
    bridges = tl.zeros((R,), tl.int32)
    for start in range(0, total, R):
        j = start + tl.arange(0, R)
        there = j < total
        code = tl.load(first + j, mask=there, other=0)
        begin = code & 0xFFFF
        y = code >> 16
        stop = tl.load(end + j, mask=there, other=0) & 0xFFFF

        # Of the runs above, the last that starts at or before this one, or the one behind it.
        up = there & (y > 0)
        i = last_start(bits, rank, row, y - 1, begin, up)
        known = up & (i >= 0)
        touches = known & ((tl.load(first + i, mask=known, other=0) >> 16) == y - 1)
        touches &= (tl.load(end + i, mask=known, other=0) & 0xFFFF) > begin - REACH
        after = tl.load(first + i + 1, mask=up, other=0)
        follows = up & ((after >> 16) == y - 1) & ((after & 0xFFFF) < stop + REACH)
        tl.store(parent + j, tl.where(touches, i, tl.where(follows, i + 1, j)), mask=there)

        down = there & (y + 1 < height)
        i = last_start(bits, rank, row, y + 1, tl.minimum(stop - 1 + REACH, width - 1), down)
        down = down & (i >= 0)
        down = down & ((tl.load(first + i, mask=down, other=0) >> 16) == y + 1)
        reached = tl.load(end + i, mask=down, other=0) & 0xFFFF
        after = tl.load(first + j + 1, mask=j + 1 < total, other=-1)
        bridged = down & ((after >> 16) == y) & (reached > (after & 0xFFFF) - REACH)
        is_open = (down & (reached > begin - REACH)) == 0
        flags = tl.where(bridged, _JOINED, 0) | tl.where(is_open, _OPEN, 0)
        tl.store(end + j, stop | flags, mask=there & (flags != 0))
        bridges |= bridged.to(tl.int32)
    return tl.max(bridges, 0)


@triton.jit
def _link_ground(bits, rank, first, end, ground, row, total, REACH: tl.constexpr, R: tl.constexpr):
    """Join each region of the background between two runs of a row to the first one above that it touches."""
    for start in range(0, total + 1, R):
        j = start + tl.arange(0, R)
        there = j < total
        code = tl.load(first + j, mask=there, other=0)
        stop = code & 0xFFFF
        y = code >> 16
        before = tl.load(first + j - 1, mask=there & (j > 0), other=-1)
        inner = there & ((before >> 16) == y) & (y > 0)
        begin = tl.load(end + j - 1, mask=inner, other=1) & 0xFFFF
        i = last_start(bits, rank, row, y - 1, begin - (1 - REACH), inner)
        above = inner & (i >= 0)
        above = above & ((tl.load(first + i, mask=above, other=0) >> 16) == y - 1)
        apart = above & ((tl.load(end + i, mask=above, other=0) & 0xFFFF) >= stop + (1 - REACH))
        tl.store(ground + j, tl.where(inner, tl.where(apart, j, i + 1), 0), mask=j <= total)


@triton.jit
def _flatten(parent, total, R: tl.constexpr):
    """Everyone's parent becomes its root."""
    changed = tl.cast(1, tl.int32)
    while changed != 0:
        tl.debug_barrier()
        more = tl.zeros((R,), tl.int32)
        for start in range(0, total, R):
            j = start + tl.arange(0, R)
            there = j < total
            p = tl.load(parent + j, mask=there, other=0)
            q = tl.load(parent + p, mask=there, other=0)
            r = tl.load(parent + q, mask=there, other=0)
            tl.store(parent + j, r, mask=there & (r != p))
            more |= (there & (r != p)).to(tl.int32)
        changed = tl.max(more, 0)


@triton.jit
def _unite(parent, a, b, active):
    """Join the trees of a and b in every active lane: the larger root gets the smaller one as its parent."""
    while any_of(active):
        tl.debug_barrier()
        p = tl.load(parent + a, mask=active, other=0, cache_modifier=".cg")  # where atomics act
        q = tl.load(parent + b, mask=active, other=0, cache_modifier=".cg")
        active = active & (p != q)
        roots = active & (p == a) & (q == b)
        high = tl.maximum(p, q)
        low = tl.minimum(p, q)
        old = tl.atomic_min(parent + high, low, mask=roots, sem="relaxed", scope="cta")
        active = active & ((roots == 0) | (old != high))
        # Who was no root any more has another parent now, to which the smaller one is still to be joined.
        a = tl.where(roots, old, p)
        b = tl.where(roots, low, q)


@triton.jit
def _join_flagged(parent, end, total, FLAG: tl.constexpr, R: tl.constexpr):
    """Join number j and number j + 1 for every run j with the flag."""
    tl.debug_barrier()
    for start in range(0, total, R):
        j = start + tl.arange(0, R)
        flagged = (tl.load(end + j, mask=j < total, other=0) & FLAG) != 0
        _unite(parent, j, j + 1, flagged)


@triton.jit
def label(bits, rank, first, end, parent, ground, height, width, row, total, REACH: tl.constexpr, GROUND: tl.constexpr,
          R: tl.constexpr):  # fmt: skip
    """From the runs of a mask to the roots of their components, and with GROUND to those of the background."""
    bridges = _link(bits, rank, first, end, parent, height, width, row, total, REACH, R)
    _flatten(parent, total, R)
    if bridges != 0:
        _join_flagged(parent, end, total, _JOINED, R)
        _flatten(parent, total, R)
    if GROUND:
        _link_ground(bits, rank, first, end, ground, row, total, REACH, R)
        _flatten(ground, total + 1, R)
        _join_flagged(ground, end, total, _OPEN, R)
        _flatten(ground, total + 1, R)
    tl.debug_barrier()
