"""Boxes and areas of connected components that never leave the GPU: a program labels one packed mask after another.

Scratch memory is private to a program and lies in the caches: the number of runs before every word, and five numbers a
run. A mask of more runs than a first launch has room for goes on a list, which a second launch of the same kernel works
through with room for the worst case: nobody waits for how many there are, and a CUDA graph can hold both. All is in
integers, and roots are minima: the results depend on no order.
"""

from __future__ import annotations

from typing import Any, Final

import torch
import triton
import triton.language as tl
from fastcam.kernels.areas import add_pixels, add_polygons
from fastcam.kernels.labels import label
from fastcam.kernels.launch import on_device_of
from fastcam.kernels.runs import find_runs, run_at
from torch import Tensor

__all__ = ["every", "how_many", "labelled", "largest", "launch", "number_of", "scratch_of", "widen_boxes"]

# Runs that the first launch has room for: about twice those of a mask of 224x224 that is not noise.
_CAPACITY: Final = 2048
_PROGRAMS: Final = 8 * 132
_LATE_PROGRAMS: Final = 132
_LATE_SCRATCH: Final = 1 << 24  # numbers, of all programs of the second launch together, unless one takes more
_T: Final = 256  # with more than a word a thread, sm_80 has to spill registers
_R: Final = 256
_WARPS: Final = 8
# Asked for: by itself the compiler takes 64 for polygons and for scores, and spills.
_REGISTERS: Final = 80
_REGISTERS_OF_SCORES: Final = 96

_NEVER: Final = tl.constexpr(0x7FFFFFFF)
_INTEGERS: Final = ["masks", "height", "width", "row", "capacity", "stride", "room"]


@triton.jit
def scratch_of(scratch, height, row, capacity, stride):
    """Where this program's rank, first, end, parent, area and ground lie."""
    rank = scratch + tl.program_id(0).to(tl.int64) * stride
    first = rank + height * row
    return rank, first, first + capacity, first + 2 * capacity, first + 3 * capacity, first + 4 * capacity


@triton.jit
def how_many(masks, late, LATE: tl.constexpr):
    """How many masks the launch is for: all, or those on the list."""
    if LATE:
        return tl.load(late)
    else:
        return masks


@triton.jit
def number_of(late, turn, LATE: tl.constexpr):
    """Which mask's turn it is."""
    if LATE:
        return tl.load(late + 1 + turn)
    else:
        return turn


@triton.jit
def labelled(bits, n, rank, first, end, parent, area, ground, late, height, width, row, capacity,
              REACH: tl.constexpr, POLYGON: tl.constexpr, T: tl.constexpr, R: tl.constexpr):  # fmt: skip
    """Label mask n and gather the areas at the roots; returns how many runs it has, or -1 if it is put on the list."""
    words = height * row
    image = bits + n.to(tl.int64) * words
    tl.debug_barrier()  # the mask before has been read
    total = find_runs(image, rank, first, end, width, row, words, capacity, T)
    tl.debug_barrier()
    if total > capacity:  # never in the second launch
        place = tl.atomic_add(late, 1, sem="relaxed")
        tl.store(late + 1 + place, n)
        total = tl.cast(-1, tl.int32)
    else:
        for start in range(0, total, R):
            j = start + tl.arange(0, R)
            tl.store(area + j, 0, mask=j < total)
        label(image, rank, first, end, parent, ground, height, width, row, total, REACH, POLYGON, R)
        if POLYGON:
            add_polygons(image, rank, first, end, parent, ground, area, height, width, row, total, R)
        else:
            add_pixels(first, end, parent, area, total, R)
        tl.debug_barrier()
    return total


@triton.jit
def _largest_root(parent, area, total, POLYGON: tl.constexpr, R: tl.constexpr):
    """The root of the largest area, and the area, -1 where there is none: of equal ones the first, of polygons last."""
    most = tl.full((R,), -1, tl.int32)
    best = tl.full((R,), -1 if POLYGON else _NEVER, tl.int32)
    for start in range(0, total, R):
        j = start + tl.arange(0, R)
        there = j < total
        is_root = there & (tl.load(parent + j, mask=there, other=-1) == j)
        value = tl.where(is_root, tl.load(area + j, mask=there, other=-1, cache_modifier=".cg"), -1)
        better = is_root & ((value >= most) if POLYGON else (value > most))
        best = tl.where(better, j, best)
        most = tl.where(better, value, most)
    value = tl.max(most, 0)
    if POLYGON:
        chosen = tl.max(tl.where(most == value, best, -1), 0)
    else:
        chosen = tl.min(tl.where(most == value, best, _NEVER), 0)
    return chosen, value


@triton.jit
def _store_box(box, first, end, parent, chosen, total, R: tl.constexpr):
    """Store the box around the runs of one root, 0, 0, 0, 0 where there are none."""
    x0 = tl.full((R,), _NEVER, tl.int32)
    y0 = tl.full((R,), _NEVER, tl.int32)
    x1 = tl.zeros((R,), tl.int32)
    y1 = tl.zeros((R,), tl.int32)
    for start in range(0, total, R):
        j = start + tl.arange(0, R)
        there = j < total
        mine = there & (tl.load(parent + j, mask=there, other=-1) == chosen)
        begin, y, stop = run_at(first, end, j, mine)
        x0 = tl.where(mine, tl.minimum(x0, begin), x0)
        y0 = tl.where(mine, tl.minimum(y0, y), y0)
        x1 = tl.where(mine, tl.maximum(x1, stop), x1)
        y1 = tl.where(mine, tl.maximum(y1, y + 1), y1)
    some = total > 0
    tl.store(box, tl.where(some, tl.min(x0, 0), 0))
    tl.store(box + 1, tl.where(some, tl.min(y0, 0), 0))
    tl.store(box + 2, tl.max(x1, 0))
    tl.store(box + 3, tl.max(y1, 0))


# Integers are not specialized on: were some known to be multiples of 16, tensors would differ in layout, and every
# scattered store would take a trip through shared memory with its barriers.
@triton.jit(do_not_specialize=_INTEGERS)
def _largest(
    bits, boxes, areas, late, scratch, masks, height, width, row, capacity, stride,
    REACH: tl.constexpr, POLYGON: tl.constexpr, LATE: tl.constexpr, T: tl.constexpr, R: tl.constexpr,
):  # fmt: skip
    """Box and area of the largest component of masks pid, pid + programs, ...; of those in ``late`` where LATE."""
    rank, first, end, parent, area, ground = scratch_of(scratch, height, row, capacity, stride)
    for turn in range(tl.program_id(0), how_many(masks, late, LATE), tl.num_programs(0)):
        n = number_of(late, turn, LATE)
        total = labelled(bits, n, rank, first, end, parent, area, ground, late, height, width, row, capacity,
                          REACH, POLYGON, T, R)  # fmt: skip
        if total >= 0:
            chosen, value = _largest_root(parent, area, total, POLYGON, R)
            _store_box(boxes + n.to(tl.int64) * 4, first, end, parent, chosen, total, R)
            value = tl.maximum(value, 0)
            tl.store(areas + n, value.to(tl.float64) * 0.5 if POLYGON else value.to(tl.int64))


@triton.jit(do_not_specialize=_INTEGERS)
def _every(
    bits, begins, boxes, areas, counts, late, scratch, masks, height, width, row, capacity, stride, room,
    REACH: tl.constexpr, POLYGON: tl.constexpr, LATE: tl.constexpr, T: tl.constexpr, R: tl.constexpr,
):  # fmt: skip
    """Boxes and areas of the first ``room`` components of each mask, from ``begins`` on; and how many there are."""
    rank, first, end, parent, area, ground = scratch_of(scratch, height, row, capacity, stride)
    for turn in range(tl.program_id(0), how_many(masks, late, LATE), tl.num_programs(0)):
        n = number_of(late, turn, LATE)
        total = labelled(bits, n, rank, first, end, parent, area, ground, late, height, width, row, capacity,
                          REACH, POLYGON, T, R)  # fmt: skip
        if total >= 0:
            begin = tl.load(begins + n)
            found = _store_roots(boxes + begin * 4, areas + begin, first, parent, area, ground, total, room, R)
            tl.store(counts + n, found)
            tl.debug_barrier()
            widen_boxes(boxes + begin * 4, first, end, parent, ground, total, room, R)


@triton.jit
def _store_roots(boxes, areas, first, parent, area, number, total, room, R: tl.constexpr):
    """Number the roots and store their areas and boxes without a size, as far as there is room; returns how many."""
    found = tl.cast(0, tl.int32)
    for start in range(0, total, R):
        j = start + tl.arange(0, R)
        there = j < total
        is_root = there & (tl.load(parent + j, mask=there, other=-1) == j)
        one = is_root.to(tl.int32)
        at = found + tl.cumsum(one, 0) - one
        found += tl.sum(one, 0)
        tl.store(number + j, at, mask=is_root)
        fits = is_root & (at < room)
        tl.store(boxes + at * 4, _NEVER, mask=fits)
        tl.store(boxes + at * 4 + 1, tl.load(first + j, mask=fits, other=0) >> 16, mask=fits)
        tl.store(boxes + at * 4 + 2, 0, mask=fits)
        tl.store(boxes + at * 4 + 3, 0, mask=fits)
        tl.store(areas + at, tl.load(area + j, mask=fits, other=0, cache_modifier=".cg"), mask=fits)
    return found


@triton.jit
def widen_boxes(boxes, first, end, parent, number, total, room, R: tl.constexpr):
    """Widen the box of every root by its runs; a root's own row is the first."""
    for start in range(0, total, R):
        j = start + tl.arange(0, R)
        there = j < total
        begin, y, stop = run_at(first, end, j, there)
        at = tl.load(number + tl.load(parent + j, mask=there, other=0), mask=there, other=0)
        fits = there & (at < room)
        tl.atomic_min(boxes + at * 4, begin, mask=fits, sem="relaxed", scope="cta")
        tl.atomic_max(boxes + at * 4 + 2, stop, mask=fits, sem="relaxed", scope="cta")
        tl.atomic_max(boxes + at * 4 + 3, y + 1, mask=fits, sem="relaxed", scope="cta")


def largest(packed: Tensor, width: int, polygon: bool, connectivity: int, boxes: Tensor, areas: Tensor) -> None:
    """Write the box and the area of the largest component of every mask, 0 where there is none.

    ``packed`` (N, H, words) int64, contiguous, N at least 1; H and W at most 32,767, as x and y share 32 bits;
    ``boxes`` (N, 4) float32; ``areas`` (N,) int64, or float64 of polygons.
    """
    launch(_largest, packed, width, polygon, connectivity, (boxes, areas))


def every(
    packed: Tensor,
    width: int,
    polygon: bool,
    connectivity: int,
    room: int,
    begins: Tensor,
    boxes: Tensor,
    areas: Tensor,
    counts: Tensor,
) -> None:
    """Write the boxes and areas of the first ``room`` components of each mask, in raster order, and how many it has.

    Those of mask n stand in ``boxes`` (M, 4) and ``areas`` (M,) int32, pixels or twice the polygon, from row
    ``begins[n]``, int64, on. ``counts`` (N,) int64 are of all components, whether there is room or not.
    """
    launch(_every, packed, width, polygon, connectivity, (begins, boxes, areas, counts), (room,))


def launch(
    kernel: Any,  # noqa: ANN401
    packed: Tensor,
    width: int,
    polygon: bool,
    connectivity: int,
    tensors: tuple[Tensor, ...],
    numbers: tuple[int, ...] = (),
    *,
    heat: int = 0,
    **kinds: object,
) -> None:
    """Launch for all masks, then for those of too many runs; ``heat``: numbers of 64 bits more a run."""
    n, height, words = packed.shape
    row = 2 * words
    most = height * ((width + 1) // 2)
    capacity = min(_CAPACITY, most)
    late = packed.new_zeros(1 + n, dtype=torch.int32)
    for is_late, runs, programs in ((False, capacity, _PROGRAMS), (True, most, _LATE_PROGRAMS)):
        if is_late and capacity == most:
            return
        stride = -(-(height * row + 5 * runs + 1) // 32) * 32
        if is_late:
            programs = max(1, min(programs, _LATE_SCRATCH // (stride + 2 * heat * runs)))
        programs = min(n, programs)
        scratch = [packed.new_empty(programs * stride, dtype=torch.int32)]
        if heat:
            scratch.append(packed.new_empty(programs * heat * runs))
        with on_device_of(packed):
            kernel[(programs,)](
                packed.view(torch.int32),
                *tensors,
                late,
                *scratch,
                n,
                height,
                width,
                row,
                runs,
                stride,
                *numbers,
                **kinds,
                REACH=1 if connectivity == 8 else 0,
                POLYGON=polygon,
                LATE=is_late,
                T=_T,
                R=_R,
                num_warps=_WARPS,
                maxnreg=_REGISTERS_OF_SCORES if heat else _REGISTERS if polygon else None,
            )
