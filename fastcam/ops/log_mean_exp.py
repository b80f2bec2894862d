"""Log-sum-exp in PyTorch's operations, finite for whatever finite values it is given."""

from __future__ import annotations

import torch
from torch import Tensor

from fastcam.ops.exporting import exports_to_onnx

__all__ = ["log_mean_exp"]


def log_mean_exp(x: Tensor, r: float) -> Tensor:
    """``log(mean(exp(r x))) / r`` over the positions of ``x`` (N, C, H, W) float32 or float64: (N, C, 1, 1).

    The maximum is taken out of the exponential, so that none is above 1. As no product of r and a difference of values
    need be a number of the type, differences are halved, and small exponents are k (x / c) where c is the range.
    """
    limits = torch.finfo(x.dtype)
    maximum = x.amax((2, 3), keepdim=True)
    infinite = maximum.isinf()
    finite = x.masked_fill(infinite, 0)
    # Constants: the result does not depend on them, so neither does any derivative.
    half = (maximum.detach() / 2).masked_fill(infinite, 0)
    spread = half - finite.detach().amin((2, 3), keepdim=True) / 2
    unit = spread.clamp(limits.tiny**0.5, limits.max**0.5)
    exponent = unit * (2 * r)
    small = exponent <= 1024
    # Below 1e-20 of the range and above what the type holds, r changes nothing. 2^24 leaves room for gradients.
    least = unit * (1e-20 / spread.clamp(min=limits.tiny**0.5)).clamp(min=2.0**24 / limits.max)
    factor = torch.where(small, torch.maximum(exponent, least), min(2 * r, limits.max / 8))
    unit = torch.where(small, unit, 1.0)
    power = (finite / 2 - half) / unit * factor
    # Near 0 the logarithm of a mean near 1 would lose its digits. The older of the exporters to ONNX has no expm1.
    less = (power.exp() - 1 if exports_to_onnx(x) else power.expm1()).mean((2, 3), keepdim=True)
    near = less > -0.5
    log = torch.where(near, less.masked_fill(~near, 0).log1p(), power.exp().mean((2, 3), keepdim=True).log())
    # A channel with infinities has them for its mean, as for its maximum.
    return torch.where(infinite, maximum, 2 * (half + log * (unit / factor)))
