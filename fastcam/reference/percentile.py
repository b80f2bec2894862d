"""NumPy's percentile of a map (Eq. 6), bit for bit."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["percentile"]


def percentile(maps: Tensor, q: float) -> Tensor:
    """``numpy.percentile(map, q)`` of each map (N, H, W), bit for bit: (N,) float32; float64 for float64 and uint8.

    Linear interpolation between the two order statistics around ``(n - 1) q / 100``; NaN where the map holds one.
    """
    values = maps.flatten(1)
    virtual = (values.shape[1] - 1) * (q / 100)
    below = min(math.floor(virtual), values.shape[1] - 1)
    above = min(below + 1, values.shape[1] - 1)
    # The largest values, down to the lower of the two; a NaN counts as larger than any.
    largest = values.topk(values.shape[1] - below, dim=1).values
    work = torch.float32 if maps.dtype == torch.float32 else torch.float64
    a, b = largest[:, -1].to(work), largest[:, below - above - 1].to(work)
    gamma = virtual - below
    step = (b - a) * torch.full((), gamma if gamma < 0.5 else 1 - gamma, dtype=work, device=maps.device)
    result = a + step if gamma < 0.5 else b - step
    return torch.where(largest[:, 0].isnan(), torch.nan, result)
