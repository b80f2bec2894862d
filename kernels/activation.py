"""The weighted sum over the channels (Eq. 2, 5): each program adds some channels, then their sums are added in order.

How many channels that are depends on the map's size alone, and nothing is added atomically: the result depends neither
on the batch size nor on the run.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from fastcam.kernels.launch import aligned, cam_tile, on_device_of
from torch import Tensor

__all__ = ["cam"]


@triton.jit
def _weights(weight, index, i, classes, channels, c, CLAMP: tl.constexpr, INDEXED: tl.constexpr):
    """The weights of the channels c for map i; NaN where its index is out of range, and nothing is read."""
    if INDEXED:
        row = tl.load(index + i).to(tl.int64)
    else:
        row = i
    inside = (row >= 0) & (row < classes)
    w = tl.load(weight + tl.where(inside, row, 0) * channels + c, mask=inside & (c < channels), other=0.0)
    # Widened last: threads then pass on the narrow weights, and not what they are made of.
    none = tl.zeros_like(w)
    w = tl.where(inside, w, tl.cast(float("nan"), tl.float32).to(w.dtype))
    if CLAMP:
        w = tl.where(w.to(tl.float32) < 0, none, w)
    return tl.where(c < channels, w, none).to(tl.float32)


@triton.jit
def _partial_sums(
    features,
    weight,
    index,
    sums,
    maps,
    per_image,
    classes,
    channels,
    HW: tl.constexpr,
    ROWS: tl.constexpr,
    SPAN: tl.constexpr,
    LAST: tl.constexpr,
    CLAMP: tl.constexpr,
    INDEXED: tl.constexpr,
):
    """Sums of ROWS channels, (split, map, position)."""
    # Maps of one image are adjacent in the grid: the second finds the features in the cache.
    pid = tl.program_id(0).to(tl.int64)
    blocks = tl.cdiv(HW, SPAN)
    splits = tl.cdiv(channels, ROWS)
    t = pid % per_image
    start = (pid // per_image % blocks * SPAN).to(tl.int32)
    split = pid // per_image // blocks % splits
    image = pid // per_image // blocks // splits
    i = image * per_image + t
    row = tl.arange(0, ROWS)
    at = tl.arange(0, SPAN)
    first = (split * ROWS).to(tl.int32)
    w = _weights(weight, index, i, classes, channels, first + row, CLAMP, INDEXED)
    if LAST:
        # Whole vectors of channels are loaded; values whose weight is 0 are replaced by 0.
        features += (image * HW + start) * channels + first
        inside = (at < HW - start)[:, None] & (row < channels - first)[None, :]
        v = tl.load(features + at[:, None] * channels + row[None, :], mask=inside, other=0.0).to(tl.float32)
        w = w[None, :]
        total = tl.sum(tl.where(w != 0, v * w, 0.0), 1)
    else:
        # A channel of weight 0 is not read: with negative weights clamped, that saves about half of the traffic.
        features += (image * channels + first) * HW + start
        w = w[:, None]
        inside = (at < HW - start)[None, :] & (w != 0)
        v = tl.load((features + at)[None, :] + (row * HW)[:, None], mask=inside, other=0.0).to(tl.float32)
        total = tl.sum(v * w, 0)
    tl.store(sums + (split * maps + i) * HW + start + at, total, mask=at < HW - start)


@triton.jit
def _add_up(sums, out, splits, total, SPAN: tl.constexpr):
    """Adds the partial sums, in the order of the channels."""
    at = tl.program_id(0).to(tl.int64) * SPAN + tl.arange(0, SPAN)
    value = tl.load(sums + at, mask=at < total, other=0.0)
    for split in range(1, splits):
        value += tl.load(sums + split * tl.cast(total, tl.int64) + at, mask=at < total, other=0.0)
    tl.store(out + at, value, mask=at < total)


def cam(features: Tensor, weight: Tensor, index: Tensor | None, clamp_negative: bool, out: Tensor) -> None:
    """Write the maps ``out`` (N[, T], h, w) float32 of ``features`` (N, C, h, w), contiguous or channels_last.

    ``weight`` (K, C) and ``index`` (N[, T]) int64 are contiguous; without an index, row n of the weights is image n's.
    """
    n, channels, h, w = features.shape
    per_image = out.shape[1] if out.ndim == 4 else 1
    last = not features.is_contiguous()
    assert not last or features.is_contiguous(memory_format=torch.channels_last)
    hw, maps, tile = h * w, n * per_image, cam_tile(h * w, last)
    splits, blocks = -(-channels // tile.rows), -(-hw // tile.span)
    sums = out if splits == 1 else out.new_empty((splits, maps, hw))
    with on_device_of(features):
        _partial_sums[(maps * splits * blocks,)](
            aligned(features),
            aligned(weight),
            index,
            sums,
            maps,
            per_image,
            len(weight),
            channels,
            HW=hw,
            ROWS=tile.rows,
            SPAN=tile.span,
            LAST=last,
            CLAMP=clamp_negative,
            INDEXED=index is not None,
            num_warps=tile.warps,
        )
        if splits > 1:
            _add_up[(-(-maps * hw // 1024),)](sums, out, splits, maps * hw, SPAN=1024, num_warps=4)
