"""Thresholded average pooling: the features are read once, and their gradient is written from one bit a position.

On a Hopper GPU, memory brings a multiprocessor about ten bfloat16 values a cycle, and it issues instructions for 128
lanes a cycle: there is time for about a dozen instructions a value. So a thread holds many values of few channels,
which it adds up without shuffles. A channel's positions are divided into eight parts, a part into groups of as many
positions as the program's threads read together. A tile has two axes, thread and vector: with more, versions of Triton
lay the axes over lanes in different orders. Parts and groups are loops that the compiler unrolls. What lies beyond the
end of a channel is known then, and costs nothing. That is common: many channels have 7 * 7 positions times a power of
two, and 49 / 8 is just above six.

For the gradient, which values were kept is stored in bytes, a bit for each of the eight parts, all of which one thread
holds. The backward pass reads these bytes and not the features, 2.2 bytes an element of bfloat16 in place of 4.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from fastcam.kernels.launch import aligned, on_device_of, tap_tile
from torch import Tensor

__all__ = ["backward", "forward"]

_LARGEST = tl.constexpr(3.4028234663852886e38)
_INFINITY = tl.constexpr(float("inf"))
_PARTS = tl.constexpr(8)
_LARGE = 2**31  # from so many elements an image on, offsets within it take 64 bits


@triton.jit
def _place(rows, channels, ROWS: tl.constexpr, LAST: tl.constexpr):
    """A program's image, its first channel there (or among those of all images), and how many channels are left."""
    pid = tl.program_id(0).to(tl.int64)
    if LAST:
        blocks = tl.cdiv(channels, ROWS)
        channel = pid % blocks * ROWS
        return pid // blocks, channel, (channels - channel).to(tl.int32)
    else:
        return pid * 0, pid * ROWS, (rows - pid * ROWS).to(tl.int32)


@triton.jit
def _tile(ROWS: tl.constexpr, WIDTH: tl.constexpr, VECTOR: tl.constexpr, LAST: tl.constexpr, LARGE: tl.constexpr):
    """Positions and channels of the values of a group, over (thread, vector)."""
    LANES: tl.constexpr = (ROWS if LAST else WIDTH) // VECTOR
    thread = tl.arange(0, (WIDTH if LAST else ROWS) * LANES)[:, None]
    across = thread // LANES
    along = thread % LANES * VECTOR + tl.arange(0, VECTOR)[None, :]
    at = across if LAST else along
    return at.to(tl.int64) if LARGE else at, along if LAST else across


@triton.jit
def _inside(at, offset, there, HW: tl.constexpr, FULL: tl.constexpr):
    """Which values ``offset`` positions further lie in a channel; with FULL, all those of channels that exist."""
    if FULL:
        return there
    else:
        return there & (at + offset < HW)


@triton.jit
def _values(p, at, offset, there, step, HW: tl.constexpr, FULL: tl.constexpr):
    """The values ``offset`` positions further, in float32; 0 where none is."""
    # Constant offsets between parts become part of the load instructions.
    return tl.load(p + offset * step, mask=_inside(at, offset, there, HW, FULL), other=0.0).to(tl.float32)


@triton.jit
def _largest(value, ROWS: tl.constexpr, WIDTH: tl.constexpr, VECTOR: tl.constexpr, LAST: tl.constexpr):
    """The largest of each channel's values (thread, vector); a NaN is passed over."""
    if LAST:
        return tl.max(tl.reshape(value, (WIDTH, ROWS)), 0)
    else:
        return tl.max(tl.reshape(tl.max(value, 1), (ROWS, WIDTH // VECTOR)), 1)


@triton.jit
def _sum(value, ROWS: tl.constexpr, WIDTH: tl.constexpr, VECTOR: tl.constexpr, LAST: tl.constexpr):
    """The sum of each channel's values (thread, vector)."""
    if LAST:
        return tl.sum(tl.reshape(value, (WIDTH, ROWS)), 0)
    else:
        return tl.sum(tl.reshape(tl.sum(value, 1), (ROWS, WIDTH // VECTOR)), 1)


@triton.jit
def _spread(value, ROWS: tl.constexpr, WIDTH: tl.constexpr, VECTOR: tl.constexpr, LAST: tl.constexpr):
    """A number of each channel at all its values, (thread, vector or 1)."""
    THREADS: tl.constexpr = ROWS * WIDTH // VECTOR
    if LAST:
        return tl.reshape(tl.broadcast_to(value[None, :], (WIDTH, ROWS)), (THREADS, VECTOR))
    else:
        return tl.reshape(tl.broadcast_to(value[:, None], (ROWS, WIDTH // VECTOR)), (THREADS,))[:, None]


@triton.jit
def _forward(
    x,
    pooled,
    divisor,
    kept,
    threshold,
    rows,
    channels,
    HW: tl.constexpr,
    BYTES: tl.constexpr,
    ROWS: tl.constexpr,
    GROUPS: tl.constexpr,
    WIDTH: tl.constexpr,
    VECTOR: tl.constexpr,
    LAST: tl.constexpr,
    EVEN: tl.constexpr,
    LARGE: tl.constexpr,
    SAVE: tl.constexpr,
):
    TURN: tl.constexpr = GROUPS * WIDTH
    ONCE: tl.constexpr = TURN == BYTES
    image, channel, left = _place(rows, channels, ROWS, LAST)
    at, row = _tile(ROWS, WIDTH, VECTOR, LAST, LARGE)
    step = tl.cast(channels, at.dtype) if LAST else 1  # from one position to the next
    x += image * channels * HW + (channel if LAST else channel * HW)
    if LAST:
        there = (row < left) | EVEN
        p = x + at * step + row
    else:  # beyond the last channel the last one is read again, which needs no mask
        there = row == row
        p = x + tl.minimum(row, left - 1) * HW + at
    values = ()
    most = tl.zeros((ROWS * WIDTH // VECTOR, VECTOR), tl.float32)
    if ONCE:
        for i in tl.static_range(_PARTS * GROUPS):
            if i * WIDTH < HW:
                value = _values(p, at, i * WIDTH, there, step, HW, (i + 1) * WIDTH <= HW)
                values = values + (value,)  # noqa: RUF005
                most = tl.maximum(most, value)
    else:  # too many positions for the registers: a first pass for the maximum, a second, from the cache, for the sum
        for start in range(0, BYTES, TURN):
            for i in tl.static_range(_PARTS * GROUPS):
                if i // GROUPS * BYTES + i % GROUPS * WIDTH < HW:
                    offset = start + (i // GROUPS * BYTES + i % GROUPS * WIDTH)
                    most = tl.maximum(most, _values(p, at, offset, there, step, HW, (i // GROUPS + 1) * BYTES <= HW))
    maximum = _largest(most, ROWS, WIDTH, VECTOR, LAST)
    cutoff = tl.where(maximum == _INFINITY, _LARGEST, maximum * threshold)
    cutoff = _spread(cutoff, ROWS, WIDTH, VECTOR, LAST)
    total = tl.zeros_like(most)
    count = tl.zeros_like(most)
    for start in range(0, BYTES, TURN):
        for group in tl.static_range(GROUPS):
            bits = tl.zeros_like(most)
            for part in tl.static_range(_PARTS):
                if part * BYTES + group * WIDTH < HW:
                    if ONCE:
                        v = values[part * GROUPS + group]
                    else:
                        offset = start + (part * BYTES + group * WIDTH)
                        v = _values(p, at, offset, there, step, HW, (part + 1) * BYTES <= HW)
                    # With a threshold in [0, 1) no negative value is kept, -inf above all.
                    v = tl.maximum(v, 0.0, propagate_nan=tl.PropagateNan.ALL)
                    # A NaN compares false and is kept: the sum becomes NaN. What is not there is 0, and never kept.
                    keep = tl.where(v <= cutoff, -0.0, 1.0)
                    total += v * keep
                    count += keep
                    bits += keep * (1 << part)  # sums of different powers of two are exact
            if SAVE:
                here = start + group * WIDTH
                to = kept + image * channels * BYTES + (channel if LAST else channel * BYTES)
                to += at * step + row + here * step if LAST else row * BYTES + at + here
                tl.store(to, bits.to(tl.int32).to(tl.uint8), mask=row < left)
    total = _sum(total, ROWS, WIDTH, VECTOR, LAST)
    count = _sum(count, ROWS, WIDTH, VECTOR, LAST)
    row = tl.arange(0, ROWS)
    first = image * channels + channel + row
    count = tl.where(count > 1, count, 1.0)
    tl.store(pooled + first, ((total + 0.0) / count).to(pooled.dtype.element_ty), mask=row < left)
    if SAVE:
        tl.store(divisor + first, tl.where(total == total, count, total), mask=row < left)


@triton.jit
def _backward(
    grad,
    divisor,
    kept,
    dx,
    rows,
    channels,
    HW: tl.constexpr,
    BYTES: tl.constexpr,
    ROWS: tl.constexpr,
    GROUPS: tl.constexpr,
    WIDTH: tl.constexpr,
    VECTOR: tl.constexpr,
    LAST: tl.constexpr,
    EVEN: tl.constexpr,
    LARGE: tl.constexpr,
):
    TURN: tl.constexpr = GROUPS * WIDTH
    ONCE: tl.constexpr = TURN == BYTES
    image, channel, left = _place(rows, channels, ROWS, LAST)
    at, row = _tile(ROWS, WIDTH, VECTOR, LAST, LARGE)
    step = tl.cast(channels, at.dtype) if LAST else 1
    if LAST:
        there = (row < left) | EVEN
    else:
        row = tl.minimum(row, left - 1)
        there = row == row
    first = image * channels + channel + row
    divide = tl.load(divisor + first, mask=there, other=1.0)
    share = tl.load(grad + first, mask=there, other=0.0).to(tl.float32) / divide
    share = share.to(dx.dtype.element_ty)
    none = tl.where(divide == divide, 0.0, divide).to(dx.dtype.element_ty)
    dx += image * channels * HW + (channel if LAST else channel * HW)
    kept += image * channels * BYTES + (channel if LAST else channel * BYTES)
    p = dx + (at * step + row if LAST else row * HW + at)
    packed = kept + (at * step + row if LAST else row * BYTES + at)
    for start in range(0, BYTES, TURN):
        for group in tl.static_range(GROUPS):
            bits = tl.load(packed + (start + group * WIDTH) * step, mask=there, other=0).to(tl.int32)
            for part in tl.static_range(_PARTS):
                if part * BYTES + group * WIDTH < HW:
                    offset = start + (part * BYTES + group * WIDTH)
                    inside = _inside(
                        at, offset, there, HW, part * BYTES + ((group + 1) * WIDTH if ONCE else BYTES) <= HW
                    )
                    tl.store(p + offset * step, tl.where((bits & (1 << part)) != 0, share, none), mask=inside)


def forward(
    x: Tensor, threshold: float, pooled: Tensor, divisor: Tensor | None = None, kept: Tensor | None = None
) -> None:
    """Pool ``x`` (N, C, H, W), contiguous or channels_last, into ``pooled`` (N, C).

    Where they are given, also what :func:`backward` needs: ``divisor`` (N, C) float32, the count of kept values (1
    where none is, NaN for a channel with a NaN), and ``kept`` uint8, a bit a value, of the shape that
    ``fastcam.reference.pooling.shape_of_kept`` names.
    """
    x = aligned(x)
    _launch(_forward, x, x, pooled, divisor, kept, threshold, SAVE=kept is not None)


def backward(grad: Tensor, divisor: Tensor, kept: Tensor, dx: Tensor) -> None:
    """Write the gradient ``dx`` (N, C, H, W), contiguous or channels_last, from ``grad`` (N, C), contiguous."""
    _launch(_backward, dx, grad, divisor, kept, dx)


def _launch(kernel: Any, x: Tensor, *arguments: Tensor | float | None, **further: bool) -> None:  # noqa: ANN401
    """Launch a kernel over the channels of ``x`` (N, C, H, W)."""
    n, c, h, w = x.shape
    last = not x.is_contiguous()
    assert not last or x.is_contiguous(memory_format=torch.channels_last)
    tile = tap_tile(h * w, x.itemsize, last)
    with on_device_of(x):
        kernel[(tile.programs(n, c),)](
            *arguments,
            n * c,
            c,
            HW=h * w,
            BYTES=tile.bytes,
            ROWS=tile.rows,
            GROUPS=tile.groups,
            WIDTH=tile.width,
            VECTOR=tile.vector,
            LAST=tile.last,
            EVEN=c % tile.rows == 0,
            LARGE=c * h * w >= _LARGE,
            **further,
            num_warps=tile.warps,
        )
