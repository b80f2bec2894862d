"""Thresholded average pooling (Eq. 4), as it reads in the paper."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["tap_backward", "tap_forward"]


def tap_forward(x: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Pool ``x`` (N, C, H, W) to (N, C); also return the cutoff and the count of kept values, (N, C) each.

    The cutoff is ``threshold * max`` in the working width (float32, or float64 for float64 input), NaN where the
    channel holds a NaN. Where the maximum is +inf only the infinite values are kept, so the cutoff is the largest
    finite number.
    """
    work = x.to(torch.float64 if x.dtype == torch.float64 else torch.float32)
    maximum = work.amax(dim=(2, 3))
    cutoff = maximum * torch.tensor(threshold, dtype=work.dtype, device=work.device)
    cutoff = cutoff.masked_fill(maximum == torch.inf, torch.finfo(work.dtype).max)
    cutoff = cutoff.masked_fill(maximum == -torch.inf, -torch.inf)
    keep = work > cutoff[:, :, None, None]
    count = keep.sum(dim=(2, 3), dtype=torch.int32)
    total = work.masked_fill(~keep, 0).sum(dim=(2, 3))
    pooled = total / count.clamp(min=1)
    pooled = torch.where(maximum.isnan(), torch.nan, pooled)
    return pooled.to(x.dtype), cutoff, count


def tap_backward(grad: Tensor, x: Tensor, cutoff: Tensor, count: Tensor) -> Tensor:
    """Gradient (N, C, H, W) of :func:`tap_forward`: ``grad / count`` where ``x`` is kept, 0 elsewhere.

    Nothing flows through the maximum, the cutoff or the count, which enter comparisons only.
    """
    share = grad.to(cutoff.dtype) / count.clamp(min=1)
    share = torch.where(cutoff.isnan(), torch.nan, share)[:, :, None, None]
    keep = (x.to(cutoff.dtype) > cutoff[:, :, None, None]) | cutoff.isnan()[:, :, None, None]
    dx = torch.empty_like(x)
    dx.copy_(torch.where(keep, share, 0))
    return dx
