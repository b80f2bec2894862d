"""Thresholded average pooling: the features are read once, and their gradient is written from one bit a position.

On a Hopper GPU, memory brings a multiprocessor about ten bfloat16 values a cycle, and it issues instructions for 128
lanes a cycle: there is time for about a dozen instructions a value. So a thread holds many values of few channels,
which it adds up without shuffles. A channel's positions are divided into eight parts, and a tile has the axes part,
group, outer, lane, vector: a thread holds the first two and the last, the others are spread over lanes and warps. Parts
beyond the end of a channel are known when the kernel is compiled, and cost nothing. That is common: many channels have
7 * 7 positions times a power of two, and 49 / 8 is just above six.

For the gradient, which values were kept is stored in bytes, a bit for each of the eight parts, all of which one thread
holds. The backward pass reads these bytes and not the features, 2.2 bytes an element of bfloat16 in place of 4.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from fastcam.kernels.launch import on_device_of, tap_tile
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
def _tile(ROWS: tl.constexpr, GROUPS: tl.constexpr, WIDTH: tl.constexpr, VECTOR: tl.constexpr, LAST: tl.constexpr,
          LARGE: tl.constexpr):  # fmt: skip
    """Positions and channels of the values of a part, over (group, outer, lane, vector)."""
    group = tl.arange(0, GROUPS)[:, None, None, None] * WIDTH
    vector = tl.arange(0, VECTOR)[None, None, None, :]
    if LAST:
        at = group + tl.arange(0, WIDTH)[None, :, None, None]
        row = tl.arange(0, ROWS // VECTOR)[None, None, :, None] * VECTOR + vector
    else:
        at = group + tl.arange(0, WIDTH // VECTOR)[None, None, :, None] * VECTOR + vector
        row = tl.arange(0, ROWS)[None, :, None, None]
    return at.to(tl.int64) if LARGE else at, row


@triton.jit
def _values(x, at, row, left, channels, HW: tl.constexpr, BYTES: tl.constexpr, LAST: tl.constexpr,
            EVEN: tl.constexpr):  # fmt: skip
    """The values, with 0 in place of negative ones: with a threshold in [0, 1) no negative value is kept."""
    part = tl.arange(0, _PARTS)[:, None, None, None, None] * BYTES
    inside = part + at[None] < HW
    # Constant offsets between parts become part of the load instructions.
    if LAST:
        p = (x + at * channels + row)[None] + part.to(at.dtype) * channels
        inside = inside & (EVEN | (row < left)[None])
    else:
        # Beyond the last channel the last one is read again, which needs no mask.
        p = (x + tl.minimum(row, left - 1) * HW + at)[None] + part
    v = tl.load(p, mask=inside, other=0.0).to(tl.float32)
    return tl.maximum(v, 0.0, propagate_nan=tl.PropagateNan.ALL), inside


@triton.jit
def _kept(v, inside, cutoff):
    """1 where a value is kept, else -0. Adding -0 changes nothing, so the compiler removes it where it is constant.

    A NaN compares false with the cutoff and is kept: the sum becomes NaN.
    """
    return tl.where((v <= cutoff) | (inside == 0), -0.0, 1.0)


@triton.jit
def _within(value, LAST: tl.constexpr):
    """Sums over those values of a channel that one thread holds."""
    value = tl.sum(tl.sum(value, 0), 0)
    return value if LAST else tl.sum(value, 2)


@triton.jit
def _bytes(keep):
    """A bit for each part, (group, outer, lane, vector). Sums of different powers of two are exact."""
    weight = (127 + tl.arange(0, _PARTS) << 23).to(tl.float32, bitcast=True)
    return tl.sum(keep * weight[:, None, None, None, None], 0).to(tl.int32).to(tl.uint8)


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
    ACROSS: tl.constexpr = 0 if LAST else 1  # the axis of the threads that share a channel
    TURN: tl.constexpr = GROUPS * WIDTH
    image, channel, left = _place(rows, channels, ROWS, LAST)
    at, row = _tile(ROWS, GROUPS, WIDTH, VECTOR, LAST, LARGE)
    x += image * channels * HW + (channel if LAST else channel * HW)
    if SAVE:
        kept += image * channels * BYTES + (channel if LAST else channel * BYTES)
        to = kept + (at * channels + row if LAST else row * BYTES + at)
        there = row < left
    if TURN == BYTES:
        v, inside = _values(x, at, row, left, channels, HW, BYTES, LAST, EVEN)
        maximum = tl.max(tl.max(v, 0), 0)
        maximum = tl.max(maximum if LAST else tl.max(maximum, 2), ACROSS)
        cutoff = tl.where(maximum == _INFINITY, _LARGEST, maximum * threshold)
        cutoff = cutoff[None, None, None, :, :] if LAST else cutoff[None, None, :, None, None]
        keep = _kept(v, inside, cutoff)
        total = tl.sum(_within(v * keep, LAST), ACROSS)
        count = tl.sum(_within(keep, LAST), ACROSS)
        if SAVE:
            tl.store(to, _bytes(keep), mask=there)
    else:  # too many positions for the registers: a first pass for the maximum, a second, from the cache, for the sum
        maximum = tl.zeros((WIDTH, ROWS // VECTOR, VECTOR) if LAST else (ROWS, WIDTH // VECTOR), tl.float32)
        totals = tl.zeros_like(maximum)
        counts = tl.zeros_like(maximum)
        for start in range(0, BYTES, TURN):
            v, inside = _values(x, at + start, row, left, channels, HW, BYTES, LAST, EVEN)
            most = tl.max(tl.max(v, 0), 0)
            maximum = tl.maximum(maximum, most if LAST else tl.max(most, 2))
        maximum = tl.max(maximum, ACROSS)
        cutoff = tl.where(maximum == _INFINITY, _LARGEST, maximum * threshold)
        cutoff = cutoff[None, None, None, :, :] if LAST else cutoff[None, None, :, None, None]
        for start in range(0, BYTES, TURN):
            v, inside = _values(x, at + start, row, left, channels, HW, BYTES, LAST, EVEN)
            keep = _kept(v, inside, cutoff)
            totals += _within(v * keep, LAST)
            counts += _within(keep, LAST)
            if SAVE:
                tl.store(to + (start * channels.to(tl.int64) if LAST else start), _bytes(keep), mask=there)
        total = tl.sum(totals, ACROSS)
        count = tl.sum(counts, ACROSS)
    # The results lie along the channels alone.
    if LAST:
        row = tl.arange(0, ROWS // VECTOR)[:, None] * VECTOR + tl.arange(0, VECTOR)[None, :]
    else:
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
    image, channel, left = _place(rows, channels, ROWS, LAST)
    at, row = _tile(ROWS, GROUPS, WIDTH, VECTOR, LAST, LARGE)
    dx += image * channels * HW + (channel if LAST else channel * HW)
    kept += image * channels * BYTES + (channel if LAST else channel * BYTES)
    if LAST:
        there = (row < left) | EVEN
        mine = row
    else:
        row = tl.minimum(row, left - 1)
        there = row == row  # always true
        # Every lane reads it: cheaper than passing it from lane to lane.
        mine = row + tl.arange(0, WIDTH // VECTOR)[None, None, :, None] * 0
    first = image * channels + channel + mine
    divide = tl.load(divisor + first, mask=there, other=1.0)
    share = tl.load(grad + first, mask=there, other=0.0).to(tl.float32) / divide
    share = share.to(dx.dtype.element_ty)[None]
    none = tl.where(divide == divide, 0.0, divide).to(dx.dtype.element_ty)[None]
    number = tl.arange(0, _PARTS)[:, None, None, None, None]
    part = number * BYTES
    for start in range(0, BYTES, TURN):
        here = at + start
        bits = tl.load(kept + (here * channels + row if LAST else row * BYTES + here), mask=there)
        keep = (bits.to(tl.int32)[None] & (1 << number)) != 0
        if LAST:
            to = (dx + here * channels + row)[None] + part.to(at.dtype) * channels
        else:
            to = (dx + row * HW + here)[None] + part
        tl.store(to, tl.where(keep, share, none), mask=(part + here[None] < HW) & there[None])


def forward(
    x: Tensor, threshold: float, pooled: Tensor, divisor: Tensor | None = None, kept: Tensor | None = None
) -> None:
    """Pool ``x`` (N, C, H, W), contiguous or channels_last, into ``pooled`` (N, C).

    Where they are given, also what :func:`backward` needs: ``divisor`` (N, C) float32, the count of kept values (1
    where none is, NaN for a channel with a NaN), and ``kept`` uint8, a bit a value, of the shape that
    ``fastcam.reference.pooling.shape_of_kept`` names.
    """
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
