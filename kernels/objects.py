"""All components of masks with the values of their maps: which of them are boxes, with what score, in what order.

Sums are in whole numbers too: values are scaled by a power of two, so that the largest magnitude in a mask, times its
pixels, just fits 62 bits. A mean depends on no order then. Of levels it is exact; of floats a value is cut off at
2^-b of that magnitude, where b is 62 less the bits of the number of pixels: 2^-46 for 224x224.
"""

from __future__ import annotations

import triton
import triton.language as tl
from fastcam.kernels.components import how_many, labelled, launch, number_of, scratch_of, widen_boxes
from fastcam.kernels.masks import bits_of
from fastcam.kernels.runs import any_of, run_at
from torch import Tensor

from fastcam.protocol import Protocol

__all__ = ["objects"]

_WAITS = tl.constexpr(0x7FFFFFFE)  # for its place
_OUT = tl.constexpr(0x7FFFFFFF)  # no box
_NEVER = tl.constexpr(0x7FFFFFFF)
_LOWEST = tl.constexpr(-0x7FF0000000000000)  # the key of minus infinity
_MAGNITUDE = tl.constexpr(0x7FFFFFFFFFFFFFFF)
_INFINITY = tl.constexpr(float("inf"))
_PIXELS = tl.constexpr(4)  # of a run whose loads are on their way together


@triton.jit
def _key_of(x):
    """Integers in the order of float64; both zeros have the key 0."""
    bits = x.to(tl.float64).to(tl.int64, bitcast=True)
    return tl.where(bits < 0, -(bits & _MAGNITUDE), bits)


@triton.jit
def _of_key(key):
    magnitude = tl.where(key < 0, -key, key).to(tl.float64, bitcast=True)
    return tl.where(key < 0, -magnitude, magnitude)


@triton.jit
def _power_of_two(exponent):
    return ((exponent + 1023).to(tl.int64) << 52).to(tl.float64, bitcast=True)


@triton.jit
def _clear(peaks, sums, pixels, total, R: tl.constexpr):
    for start in range(0, total, R):
        j = start + tl.arange(0, R)
        there = j < total
        tl.store(peaks + j, tl.full((R,), _LOWEST, tl.int64), mask=there)
        tl.store(sums + j, tl.zeros((R,), tl.int64), mask=there)
        tl.store(pixels + j, tl.zeros((R,), tl.int64), mask=there)


@triton.jit
def _gather_peaks(values, first, end, parent, peaks, width, total, WORK: tl.constexpr, R: tl.constexpr):
    """The key of the largest value of each component at its root; returns the largest finite magnitude of all."""
    largest = tl.zeros((R,), WORK)
    for start in range(0, total, R):
        j = start + tl.arange(0, R)
        there = j < total
        x, y, stop = run_at(first, end, j, there)
        row = values + y * width
        peak = tl.full((R,), -_INFINITY, WORK)
        while any_of(x < stop):
            for _ in tl.static_range(_PIXELS):
                inside = x < stop
                v = tl.load(row + x, mask=inside, other=0).to(WORK)
                peak = tl.where(inside, tl.maximum(peak, v), peak)
                size = tl.abs(v)
                largest = tl.where(size < _INFINITY, tl.maximum(largest, size), largest)
                x += 1
        root = tl.load(parent + j, mask=there, other=0)
        tl.atomic_max(peaks + root, _key_of(peak), mask=there, sem="relaxed", scope="cta")
    return tl.max(largest, 0).to(tl.float64)


@triton.jit
def _gather_sums(values, first, end, parent, sums, pixels, scale, width, total, R: tl.constexpr):
    """The scaled sum of the finite values of each component, and its pixels, at its root."""
    for start in range(0, total, R):
        j = start + tl.arange(0, R)
        there = j < total
        begin, y, stop = run_at(first, end, j, there)
        row = values + y * width
        added = tl.zeros((R,), tl.int64)
        x = begin
        while any_of(x < stop):
            for _ in tl.static_range(_PIXELS):
                v = tl.load(row + x, mask=x < stop, other=0).to(tl.float64)
                added += tl.where(tl.abs(v) < _INFINITY, v * scale, 0.0).to(tl.int64)
                x += 1
        root = tl.load(parent + j, mask=there, other=0)
        tl.atomic_add(sums + root, added, mask=there, sem="relaxed", scope="cta")
        tl.atomic_add(pixels + root, (stop - begin).to(tl.int64), mask=there, sem="relaxed", scope="cta")


@triton.jit
def _score_roots(
    parent, area, peaks, sums, pixels, number, unit, least, min_area, total,
    WORK: tl.constexpr, MEAN: tl.constexpr, POLYGON: tl.constexpr, HIGH: tl.constexpr, RANKED: tl.constexpr,
    R: tl.constexpr,
):  # fmt: skip
    """Put the key of each root's score into its sum, and into its number which box it is; returns how many are."""
    found = tl.cast(0, tl.int32)
    for start in range(0, total, R):
        j = start + tl.arange(0, R)
        there = j < total
        is_root = there & (tl.load(parent + j, mask=there, other=-1) == j)
        key = tl.load(peaks + j, mask=is_root, other=0, cache_modifier=".cg")
        peak = _of_key(key)
        if MEAN:
            mean = tl.load(sums + j, mask=is_root, other=0, cache_modifier=".cg").to(tl.float64) * unit
            mean /= tl.load(pixels + j, mask=is_root, other=1, cache_modifier=".cg").to(tl.float64)
            key = _key_of(tl.where(peak == _INFINITY, peak, mean).to(WORK))
        tl.store(sums + j, key, mask=is_root)
        size = tl.load(area + j, mask=is_root, other=0, cache_modifier=".cg").to(tl.float64)
        is_box = is_root & ((size * 0.5 if POLYGON else size) >= min_area)
        if HIGH:
            is_box &= peak > least
        one = is_box.to(tl.int32)
        at = tl.full((R,), _WAITS, tl.int32) if RANKED else found + tl.cumsum(one, 0) - one
        found += tl.sum(one, 0)
        tl.store(number + j, tl.where(is_box, at, _OUT), mask=is_root)
    return found


@triton.jit
def _next_root(parent, ranks, number, total, LAST: tl.constexpr, R: tl.constexpr):
    """The root of the highest rank that still waits: of equal ones the first, or the LAST."""
    most = tl.full((R,), -_MAGNITUDE, tl.int64)
    best = tl.full((R,), -1 if LAST else _NEVER, tl.int32)
    for start in range(0, total, R):
        j = start + tl.arange(0, R)
        there = j < total
        waits = there & (tl.load(parent + j, mask=there, other=-1) == j)
        waits = waits & (tl.load(number + j, mask=waits, other=_OUT) == _WAITS)
        rank = tl.load(ranks + j, mask=waits, other=0, cache_modifier=".cg").to(tl.int64)
        better = waits & ((rank >= most) if LAST else (rank > most))
        best = tl.where(better, j, best)
        most = tl.where(better, rank, most)
    highest = tl.max(most, 0)
    if LAST:
        return tl.max(tl.where(most == highest, best, -1), 0)
    else:
        return tl.min(tl.where(most == highest, best, _NEVER), 0)


@triton.jit
def _store_rows(boxes, areas, scores, first, parent, area, ranks, number, total, room, WORK: tl.constexpr,
                POLYGON: tl.constexpr, R: tl.constexpr):  # fmt: skip
    """Store areas, scores, and boxes without a size, where there is room."""
    for start in range(0, total, R):
        j = start + tl.arange(0, R)
        there = j < total
        is_root = there & (tl.load(parent + j, mask=there, other=-1) == j)
        at = tl.load(number + j, mask=is_root, other=_OUT)
        fits = is_root & (at < room)
        tl.store(boxes + at * 4, _NEVER, mask=fits)
        tl.store(boxes + at * 4 + 1, tl.load(first + j, mask=fits, other=0) >> 16, mask=fits)
        tl.store(boxes + at * 4 + 2, 0, mask=fits)
        tl.store(boxes + at * 4 + 3, 0, mask=fits)
        size = tl.load(area + j, mask=fits, other=0, cache_modifier=".cg")
        tl.store(areas + at, size.to(tl.float64) * 0.5 if POLYGON else size.to(tl.int64), mask=fits)
        tl.store(scores + at, _of_key(tl.load(ranks + j, mask=fits, other=0)).to(WORK), mask=fits)


@triton.jit(
    do_not_specialize=["masks", "height", "width", "row", "capacity", "stride", "room", "min_area", "precision"]
)
def _objects(
    bits, values, least, begins, boxes, areas, scores, counts, late, scratch, heat,
    masks, height, width, row, capacity, stride, room, min_area, precision,
    WORK: tl.constexpr, MEAN: tl.constexpr, HIGH: tl.constexpr, ORDER: tl.constexpr,
    REACH: tl.constexpr, POLYGON: tl.constexpr, LATE: tl.constexpr, T: tl.constexpr, R: tl.constexpr,
):  # fmt: skip
    """Boxes of masks pid, pid + programs, ...; of those in ``late`` where LATE."""
    rank, first, end, parent, area, ground = scratch_of(scratch, height, row, capacity, stride)
    peaks = heat + tl.program_id(0).to(tl.int64) * 3 * capacity
    sums = peaks + capacity
    pixels = sums + capacity
    min_area = min_area.to(tl.int64).to(tl.float64, bitcast=True)
    for turn in range(tl.program_id(0), how_many(masks, late, LATE), tl.num_programs(0)):
        n = number_of(late, turn, LATE)
        total = labelled(bits, n, rank, first, end, parent, area, ground, late, height, width, row, capacity,
                         REACH, POLYGON, T, R)  # fmt: skip
        if total >= 0:
            _clear(peaks, sums, pixels, total, R)
            tl.debug_barrier()
            of_map = values + n.to(tl.int64) * height * width
            magnitude = _gather_peaks(of_map, first, end, parent, peaks, width, total, WORK, R)
            # The magnitude is below 2^exponent. What is smaller than float64 can scale loses its last bits.
            exponent = (magnitude.to(tl.int64, bitcast=True) >> 52).to(tl.int32) - 1022
            exponent = tl.maximum(exponent, precision - 1000)
            if MEAN:
                scale = _power_of_two(precision - exponent)
                _gather_sums(of_map, first, end, parent, sums, pixels, scale, width, total, R)
            tl.debug_barrier()
            least_peak = tl.load(least + n).to(tl.float64) if HIGH else 0.0
            unit = _power_of_two(exponent - precision)
            found = _score_roots(parent, area, peaks, sums, pixels, ground, unit, least_peak, min_area, total,
                                 WORK, MEAN, POLYGON, HIGH, ORDER != "raster", R)  # fmt: skip
            tl.store(counts + n, found)
            tl.debug_barrier()
            if ORDER != "raster":
                for place in range(0, tl.minimum(found, room)):
                    if ORDER == "largest":
                        chosen = _next_root(parent, area, ground, total, POLYGON, R)
                    else:
                        chosen = _next_root(parent, sums, ground, total, False, R)
                    tl.debug_barrier()
                    tl.store(ground + chosen, place)
                    tl.debug_barrier()
            at = tl.load(begins + n)
            _store_rows(boxes + at * 4, areas + at, scores + at, first, parent, area, sums, ground, total, room, WORK,
                        POLYGON, R)  # fmt: skip
            tl.debug_barrier()
            widen_boxes(boxes + at * 4, first, end, parent, ground, total, room, R)


def objects(
    packed: Tensor,
    values: Tensor,
    protocol: Protocol,
    room: int,
    *,
    ranked: bool,
    least: Tensor,
    begins: Tensor,
    boxes: Tensor,
    areas: Tensor,
    scores: Tensor,
    counts: Tensor,
) -> None:
    """Write up to ``room`` boxes of each mask, and how many there are, whether there is room or not.

    Args:
        packed: (N, H, words) int64, contiguous, N at least 1, as :func:`fastcam.kernels.components.largest` takes them.
        values: (N, H, W) of the maps, contiguous: float32, float64, or uint8 levels.
        protocol: what it says of ``keep="all"`` is read, but for ``max_boxes``.
        room: rows of each mask that may be written.
        ranked: in the protocol's order, which takes a pass over the components for each row; else in raster order.
        least: (N,), what a component's peak must exceed; read with a ``high_threshold`` alone.
        begins: (N,) int64, each mask's first row in the next three.
        boxes: (M, 4) int32.
        areas: (M,) int64, or float64 of polygons.
        scores: (M,) float64 where the values are, else float32.
        counts: (N,) int64.
    """
    height, width = values.shape[1:]
    launch(
        _objects,
        packed,
        width,
        protocol.area == "polygon",
        protocol.connectivity,
        (values, least, begins, boxes, areas, scores, counts),
        (room, bits_of(protocol.min_area), 62 - (height * width).bit_length()),
        heat=3,
        WORK=tl.float64 if scores.itemsize == 8 else tl.float32,
        MEAN=protocol.scores == "mean",
        HIGH=protocol.high_threshold is not None,
        ORDER=protocol.order if ranked else "raster",
    )
