"""Areas of the components of one mask, gathered at their roots: pixels, and polygons without walking a contour.

A component's polygon goes through the centres of the pixels at its outer contour (``cv2.contourArea``). With o the
background outside of it, that left of its first pixel, and only edges between the component and o counted:

    2 area = 2 enclosed + contacts - edges

where enclosed is the sum of the ends less the beginnings of runs at whose side o lies, contacts is how often a run and
a stretch of o in an adjacent row overlap, and edges are all unit edges, which are the sides of runs and the lengths of
those overlaps.
"""

from __future__ import annotations

import triton
import triton.language as tl
from fastcam.kernels.runs import last_start

__all__ = ["add_pixels", "add_polygons"]


@triton.jit
def add_pixels(first, end, parent, area, total, R: tl.constexpr):
    """Add the pixels of every run to the area of its root."""
    for start in range(0, total, R):
        j = start + tl.arange(0, R)
        there = j < total
        begin = tl.load(first + j, mask=there, other=0) & 0xFFFF
        stop = tl.load(end + j, mask=there, other=0) & 0xFFFF
        root = tl.load(parent + j, mask=there, other=0)
        tl.atomic_add(area + root, stop - begin, mask=there, sem="relaxed", scope="cta")


@triton.jit
def add_polygons(bits, rank, first, end, parent, ground, area, height, width, row, total, R: tl.constexpr):
    """Add to the area of every root what each run and the background to its right contribute to twice the polygon.

    An overlap of a run and a stretch of background begins where the later of the two begins, and counts there.
    """
    for start in range(0, total, R):
        j = start + tl.arange(0, R)
        there = j < total
        code = tl.load(first + j, mask=there, other=0)
        begin = code & 0xFFFF
        y = code >> 16
        stop = tl.load(end + j, mask=there, other=0) & 0xFFFF
        root = tl.load(parent + j, mask=there, other=0)
        outside = tl.load(ground + root, mask=there, other=0)
        right = tl.load(ground + j + 1, mask=there, other=0)
        twice = tl.where(right == outside, 2 * stop - 1, 0)
        twice -= tl.where(tl.load(ground + j, mask=there, other=0) == outside, 2 * begin + 1, 0)
        after = tl.load(first + j + 1, mask=j + 1 < total, other=-1)
        right_stop = tl.where((after >> 16) == y, after & 0xFFFF, 0xFFFF)
        for way in tl.static_range(2):
            z = y + (2 * way - 1)
            inside = there & (z >= 0) & (z < height)
            # The background of the other row at this run's first pixel; all of a row beyond the mask is the border.
            i = last_start(bits, rank, row, z, begin, inside)
            known = inside & (i >= 0)
            known = known & ((tl.load(first + i, mask=known, other=0) >> 16) == z)
            covered = known & ((tl.load(end + i, mask=known, other=0) & 0xFFFF) > begin)
            after = tl.load(first + i + 1, mask=inside & (i + 1 < total), other=-1)
            above_stop = tl.where(inside & ((after >> 16) == z), after & 0xFFFF, 0xFFFF)
            there_too = tl.load(ground + i + 1, mask=inside, other=0)
            counts = (covered == 0) & (there_too == outside)
            twice += tl.where(counts, 1 - (tl.minimum(stop, above_stop) - begin), 0)
            # The run of the other row under the first pixel of the background to the right, if it began before.
            inside = inside & (stop < width)
            i = last_start(bits, rank, row, z, stop, inside)
            known = inside & (i >= 0)
            code = tl.load(first + i, mask=known, other=0)
            other_stop = tl.load(end + i, mask=known, other=0) & 0xFFFF
            known = known & ((code >> 16) == z) & ((code & 0xFFFF) < stop) & (other_stop > stop)
            other = tl.load(parent + i, mask=known, other=0)
            counts = known & (tl.load(ground + other, mask=known, other=0) == right)
            tl.atomic_add(
                area + other, 1 - (tl.minimum(other_stop, right_stop) - stop), mask=counts, sem="relaxed", scope="cta"
            )
        tl.atomic_add(area + root, twice, mask=there, sem="relaxed", scope="cta")
