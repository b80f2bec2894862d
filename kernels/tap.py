"""Thresholded average pooling: the features are read once, and their gradient is written from one bit a position.

A program holds the positions of several channels in registers: finds each channel's maximum, adds what exceeds the
cutoff, and, where a gradient will be wanted, writes what it kept as bits. Going back reads those bits and not the
features again, 2.1 bytes an element of bfloat16 in place of 4.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from fastcam.kernels.launch import Tile, on_device_of, tap_tile
from torch import Tensor

__all__ = ["backward", "forward"]

_LARGEST = tl.constexpr(3.4028234663852886e38)
_INFINITY = tl.constexpr(float("inf"))


@triton.jit
def _place(pid, rows, channels, HW: tl.constexpr, ROWS: tl.constexpr, LAST: tl.constexpr):
    """Where a program's channels begin: their number, how many there are, and the first element, in 64 bits."""
    if LAST:
        blocks = tl.cdiv(channels, ROWS)
        image = pid // blocks
        channel = pid % blocks * ROWS
        return image * channels + channel, channels - channel, image * channels * HW + channel
    else:
        first = pid * ROWS
        return first, rows - first, first * HW


@triton.jit
def _offsets(row, at, channels, HW: tl.constexpr, AXIS: tl.constexpr, LAST: tl.constexpr):
    """From the first element: positions along AXIS, channels along the other."""
    if LAST:
        return tl.expand_dims(at, 1 - AXIS) * channels + tl.expand_dims(row, AXIS)
    else:
        return tl.expand_dims(row, AXIS) * HW + tl.expand_dims(at, 1 - AXIS)


@triton.jit
def _cutoff(maximum, threshold):
    # Only what is infinite exceeds the largest finite number; 0 times an infinity would be NaN.
    cutoff = tl.where(maximum == _INFINITY, _LARGEST, maximum * threshold)
    return tl.where(maximum == -_INFINITY, -_INFINITY, cutoff)


@triton.jit
def _words(left_out, at, ROWS: tl.constexpr, SPAN: tl.constexpr, AXIS: tl.constexpr):
    """What is not left out, a bit a position, (ROWS, SPAN / 32)."""
    bits = tl.where(left_out, 0, tl.expand_dims(tl.full(at.shape, 1, tl.int32) << (at % 32), 1 - AXIS))
    if AXIS == 1:
        words = tl.sum(tl.reshape(bits, (ROWS, SPAN // 32, 32)), 2)
    else:
        words = tl.trans(tl.sum(tl.reshape(bits, (SPAN // 32, 32, ROWS)), 1))
    return words.to(tl.int64).to(tl.int32)  # nothing where it is compiled; sums are 64 bits wide in the interpreter


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
    ROWS: tl.constexpr,
    SPAN: tl.constexpr,
    LAST: tl.constexpr,
    SAVE: tl.constexpr,
):
    AXIS: tl.constexpr = 0 if LAST else 1
    WORDS: tl.constexpr = (HW + 31) // 32
    first, left, begin = _place(tl.program_id(0).to(tl.int64), rows, channels, HW, ROWS, LAST)
    row = tl.arange(0, ROWS)
    at = tl.arange(0, SPAN)
    x += begin
    offsets = _offsets(row, at, channels, HW, AXIS, LAST)
    there = tl.expand_dims(row < left, AXIS)
    if HW <= SPAN:
        inside = there & tl.expand_dims(at < HW, 1 - AXIS)
        v = tl.load(x + offsets, mask=inside, other=-_INFINITY).to(tl.float32)
        cutoff = tl.expand_dims(_cutoff(tl.max(v, AXIS), threshold), AXIS)
        # What does not exceed the cutoff is left out, which a NaN is not: the sum becomes NaN.
        left_out = v <= cutoff
        total = tl.sum(tl.where(left_out, 0.0, v), AXIS)
        count = tl.sum(tl.where(left_out, 0, 1), AXIS)
        if SAVE:
            word = tl.arange(0, SPAN // 32)
            to = kept + first * WORDS + row[:, None] * WORDS + word[None, :]
            tl.store(to, _words(left_out, at, ROWS, SPAN, AXIS), mask=(row < left)[:, None] & (word < WORDS)[None, :])
    else:  # too many positions for the registers: once for the maximum, once more, from the cache, for the sum
        STEP = channels.to(tl.int64) if LAST else 1
        if LAST:
            maximum = tl.full((SPAN, ROWS), -_INFINITY, tl.float32)
            sums = tl.zeros((SPAN, ROWS), tl.float32)
            counts = tl.zeros((SPAN, ROWS), tl.int32)
        else:
            maximum = tl.full((ROWS, SPAN), -_INFINITY, tl.float32)
            sums = tl.zeros((ROWS, SPAN), tl.float32)
            counts = tl.zeros((ROWS, SPAN), tl.int32)
        for start in range(0, HW, SPAN):
            inside = there & tl.expand_dims(at < HW - start, 1 - AXIS)
            v = tl.load(x + start * STEP + offsets, mask=inside, other=-_INFINITY).to(tl.float32)
            maximum = tl.where(v > maximum, v, maximum)
        cutoff = tl.expand_dims(_cutoff(tl.max(maximum, AXIS), threshold), AXIS)
        for start in range(0, HW, SPAN):
            inside = there & tl.expand_dims(at < HW - start, 1 - AXIS)
            v = tl.load(x + start * STEP + offsets, mask=inside, other=-_INFINITY).to(tl.float32)
            left_out = v <= cutoff
            sums += tl.where(left_out, 0.0, v)
            counts += tl.where(left_out, 0, 1)
            if SAVE:
                word = tl.arange(0, SPAN // 32)
                to = kept + first * WORDS + start // 32 + row[:, None] * WORDS + word[None, :]
                wanted = (row < left)[:, None] & (word < WORDS - start // 32)[None, :]
                tl.store(to, _words(left_out, at, ROWS, SPAN, AXIS), mask=wanted)
        total = tl.sum(sums, AXIS)
        count = tl.sum(counts, AXIS)
    count = tl.where(count > 1, count, 1).to(tl.float32)
    tl.store(pooled + first + row, (total / count).to(pooled.dtype.element_ty), mask=row < left)
    if SAVE:
        tl.store(divisor + first + row, tl.where(total == total, count, total), mask=row < left)


@triton.jit
def _backward(
    grad,
    divisor,
    kept,
    dx,
    rows,
    channels,
    HW: tl.constexpr,
    ROWS: tl.constexpr,
    SPAN: tl.constexpr,
    LAST: tl.constexpr,
):
    AXIS: tl.constexpr = 0 if LAST else 1
    WORDS: tl.constexpr = (HW + 31) // 32
    first, left, begin = _place(tl.program_id(0).to(tl.int64), rows, channels, HW, ROWS, LAST)
    row = tl.arange(0, ROWS)
    at = tl.arange(0, SPAN)
    there = tl.expand_dims(row < left, AXIS)
    divide = tl.load(divisor + first + row, mask=row < left, other=1.0)
    share = tl.load(grad + first + row, mask=row < left, other=0.0).to(tl.float32) / divide
    share = tl.expand_dims(share, AXIS)
    broken = tl.expand_dims(divide != divide, AXIS)
    kept += first * WORDS
    dx += begin
    offsets = _offsets(row, at, channels, HW, AXIS, LAST)
    STEP = channels.to(tl.int64) if LAST else 1
    for start in range(0, HW, SPAN):
        inside = there & tl.expand_dims(at < HW - start, 1 - AXIS)
        word = tl.expand_dims(row, AXIS) * WORDS + tl.expand_dims(at // 32 + start // 32, 1 - AXIS)
        bits = tl.load(kept + word, mask=inside, other=0)
        keep = ((bits >> tl.expand_dims(at % 32, 1 - AXIS)) & 1) != 0
        value = tl.where(keep | broken, share, 0.0)
        tl.store(dx + start * STEP + offsets, value.to(dx.dtype.element_ty), mask=inside)


def forward(
    x: Tensor, threshold: float, pooled: Tensor, divisor: Tensor | None = None, kept: Tensor | None = None
) -> None:
    """Pool ``x`` (N, C, H, W), contiguous or channels_last, into ``pooled`` (N, C).

    Where they are given, also what :func:`backward` needs: ``divisor`` (N, C) float32, the count of kept values (1
    where none is, NaN for a channel with a NaN), and ``kept`` (N, C, ceil(HW / 32)) int32, a bit a position.
    """
    tile, n, c, hw = _tile(x)
    with on_device_of(x):
        _forward[(tile.programs(n, c),)](
            x,
            pooled,
            divisor,
            kept,
            threshold,
            n * c,
            c,
            HW=hw,
            ROWS=tile.rows,
            SPAN=tile.span,
            LAST=tile.last,
            SAVE=kept is not None,
            num_warps=tile.warps,
        )


def backward(grad: Tensor, divisor: Tensor, kept: Tensor, dx: Tensor) -> None:
    """Write the gradient ``dx`` (N, C, H, W), contiguous or channels_last, from ``grad`` (N, C), contiguous."""
    tile, n, c, hw = _tile(dx)
    with on_device_of(dx):
        _backward[(tile.programs(n, c),)](
            grad,
            divisor,
            kept,
            dx,
            n * c,
            c,
            HW=hw,
            ROWS=tile.rows,
            SPAN=tile.span,
            LAST=tile.last,
            num_warps=tile.warps,
        )


def _tile(x: Tensor) -> tuple[Tile, int, int, int]:
    n, c, h, w = x.shape
    last = not x.is_contiguous()
    assert not last or x.is_contiguous(memory_format=torch.channels_last)
    return tap_tile(h * w, last), n, c, h * w
