"""Thresholded average pooling (Eq. 4), as it reads in the paper."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["eighth_of", "shape_of_kept", "tap_backward", "tap_forward", "tap_keeping", "tap_spread"]


def tap_forward(x: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Pool ``x`` (N, C, H, W) to (N, C); also return the cutoff and the count of kept values, (N, C) each.

    The cutoff is ``threshold * max`` in the working width (float32, or float64 for float64 input), NaN where the
    channel holds a NaN. Where the maximum is +inf only the infinite values are kept, so the cutoff is the largest
    finite number.
    """
    work = x.to(torch.float64 if x.dtype == torch.float64 else torch.float32)
    maximum = work.amax(dim=(2, 3))
    cutoff = maximum * threshold
    cutoff = cutoff.masked_fill(maximum == torch.inf, torch.finfo(work.dtype).max)
    cutoff = cutoff.masked_fill(maximum == -torch.inf, -torch.inf)
    nan = cutoff.isnan()
    # Where the channel holds a NaN all are kept, so that it spreads, to the gradient too.
    keep = ~(work <= cutoff[:, :, None, None])
    count = keep.sum(dim=(2, 3), dtype=torch.int32).masked_fill(nan, 0)
    pooled = _mean(work, keep, count.clamp(min=1).to(work.dtype).masked_fill(nan, torch.nan), maximum)
    return pooled.to(x.dtype), cutoff, count


def _mean(x: Tensor, keep: Tensor, count: Tensor, maximum: Tensor) -> Tensor:
    """The mean of the kept values, which overflows for no finite values: the sum of large ones is taken of 2^-32 x."""
    top = torch.finfo(x.dtype).max * 2**-32
    scale = torch.where(maximum > top / 4, 2.0**-32, 1.0).to(x.dtype)
    mean = torch.where(keep, x * scale[:, :, None, None], 0).sum(dim=(2, 3)) / count
    # By how much rounding carries it past the largest number; a constant, so that the gradient is the mean's.
    excess = torch.where((mean > top) & (scale < 1) & (maximum < torch.inf), mean - top, 0).detach()
    return (mean - excess) / scale


def tap_backward(grad: Tensor, x: Tensor, cutoff: Tensor, count: Tensor) -> Tensor:
    """Gradient (N, C, H, W) of :func:`tap_forward`: ``grad / count`` where ``x`` is kept, 0 elsewhere.

    Nothing flows through the maximum, the cutoff or the count, which enter comparisons only.
    """
    share = grad.to(cutoff.dtype) / count.clamp(min=1)
    share = torch.where(cutoff.isnan(), torch.nan, share)[:, :, None, None]
    keep = (x.to(cutoff.dtype) > cutoff[:, :, None, None]) | cutoff.isnan()[:, :, None, None]
    return torch.where(keep, share, 0).to(x.dtype)


def eighth_of(positions: int) -> int:
    """Return the smallest power of two B, from 4, of which eight hold a bit for every position."""
    eighth = 4
    while 8 * eighth < positions:
        eighth *= 2
    return eighth


def shape_of_kept(x: Tensor) -> tuple[int, int, int]:
    """(N, C, B), or where ``x`` is channels_last (N, B, C): B is the smallest power of two, from 4, with 8 B >= H W."""
    n, c, h, w = x.shape
    eighth = eighth_of(h * w)
    last = not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    return (n, eighth, c) if last else (n, c, eighth)


def tap_keeping(x: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Pool like :func:`tap_forward`; also return what the gradient needs without the input.

    That is the divisor (N, C), the count of kept values, but 1 where none is and NaN for a channel with a NaN; and a
    bit for every value, as uint8 of the shape :func:`shape_of_kept`: position i is bit ``i // B`` of byte ``i % B``.
    """
    pooled, cutoff, count = tap_forward(x, threshold)
    divisor = torch.where(cutoff.isnan(), torch.nan, count.clamp(min=1).to(cutoff.dtype))
    keep = (x.to(cutoff.dtype) > cutoff[:, :, None, None]).flatten(2)
    shape = shape_of_kept(x)
    last = shape != (*keep.shape[:2], shape[2])
    eighth = shape[1] if last else shape[2]
    bits = torch.nn.functional.pad(keep, (0, 8 * eighth - keep.shape[2])).unflatten(2, (8, eighth)).to(torch.uint8)
    kept = (bits << torch.arange(8, device=x.device, dtype=torch.uint8)[:, None]).sum(dim=2, dtype=torch.uint8)
    return pooled, divisor, kept.transpose(1, 2).contiguous() if last else kept


def tap_spread(grad: Tensor, divisor: Tensor, kept: Tensor, height: int, width: int, channels_last: bool) -> Tensor:
    """Gradient (N, C, H, W) of :func:`tap_keeping`, contiguous or channels_last."""
    part = torch.arange(8, device=kept.device, dtype=torch.uint8)[:, None]
    kept = kept.transpose(1, 2) if channels_last else kept
    bits = (kept[:, :, None] >> part) & 1
    keep = bits.flatten(2)[..., : height * width].unflatten(2, (height, width)) != 0
    share = (grad.to(divisor.dtype) / divisor)[:, :, None, None]
    dx = torch.where(keep | divisor.isnan()[:, :, None, None], share, 0).to(grad.dtype)
    return dx.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
