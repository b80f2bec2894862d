"""Normalizations of a map, in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from fastcam.protocol import Normalization
from fastcam.reference.percentile import percentile

__all__ = ["normalize"]


def normalize(maps: Tensor, how: Normalization, q: float) -> Tensor:
    """Normalize resized ``maps`` (N, H, W); returned in float64, before any rounding to float32 or levels."""
    wide = maps.to(torch.float64)
    if how == "none":
        return wide
    low, high = wide.amin(dim=(1, 2)), wide.amax(dim=(1, 2))
    if how == "minmax":
        offset, span = low, high - low
    elif how == "max":
        offset, span = torch.zeros_like(high), high
    else:
        offset, span = torch.zeros_like(high), percentile(maps, q).to(torch.float64)
    defined = (span > 0) & low.isfinite() & high.isfinite()
    span = torch.where(defined, span, 1)
    scaled = (wide - offset[:, None, None]) / span[:, None, None]
    if how == "max":
        scaled = scaled.clamp(min=0)
    if how == "percentile":
        scaled = scaled.clamp(0, 1)
    return torch.where(defined[:, None, None], scaled, 0)
