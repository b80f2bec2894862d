"""The class activation map (Eq. 2, 5): the channels weighted, and added in one order."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["cam"]


def cam(features: Tensor, weight: Tensor, index: Tensor | None, clamp_negative: bool) -> Tensor:
    """Weighted channel sum, (N, h, w) or (N, T, h, w), summed in the order of the channels (Eq. 2, 5).

    ``features`` (N, C, h, w), or with other axes of positions than h and w; ``weight`` (K, C) with ``index`` (N,) or
    (N, T), or (N, C) with ``index`` None. A channel of weight 0 counts as not read: a NaN in it changes nothing. An
    index outside [0, K) gives a map of NaN.
    """
    work = torch.float64 if features.dtype == torch.float64 else torch.float32
    rows = weight.to(work)
    if index is not None:
        inside = (index >= 0) & (index < len(weight))
        rows = rows[torch.where(inside, index, 0)] if len(weight) else rows.new_zeros(*index.shape, rows.shape[1])
        rows = torch.where(inside[..., None], rows, torch.nan)
    if clamp_negative:
        rows = torch.where(rows < 0, 0, rows)
    axes = [1] * (features.ndim - 2)
    total = torch.zeros(*rows.shape[:-1], *features.shape[2:], dtype=work, device=features.device)
    for channel in range(features.shape[1]):
        w = rows[..., channel].reshape(*rows.shape[:-1], *axes)
        plane = features[:, channel] if rows.ndim == 2 else features[:, None, channel]
        total = total + torch.where(w != 0, w * plane.to(work), 0)
    return total
