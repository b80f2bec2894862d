"""Normalizations of a map, in float64."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from fastcam.protocol import Normalization
from fastcam.reference.percentile import percentile

__all__ = ["normalize", "overflow_scale"]

_LARGE: Final = 2.0**1020


def normalize(maps: Tensor, how: Normalization, q: float, base: float = 45) -> Tensor:
    """Normalize resized ``maps`` (N, H, W); returned in float64, before any rounding to float32 or levels.

    ``q`` is the percentile of "percentile" and "pas", ``base`` that of "ivr".
    """
    wide = maps.to(torch.float64)
    if how == "none":
        return wide
    low, high = wide.amin(dim=(1, 2)), wide.amax(dim=(1, 2))
    if how == "minmax":
        offset, span = low, high - low
    elif how == "max":
        offset, span = torch.zeros_like(high), high
    elif how == "percentile":
        offset, span = torch.zeros_like(high), percentile(maps, q).to(torch.float64)
    elif how == "pas":
        offset, span = low, _at_share(wide, q) - low
    else:
        offset = _at_share(wide, base)
        span = high - offset
    defined = (span > 0) & low.isfinite() & high.isfinite()
    span = torch.where(defined, span, 1)
    scaled = (wide - offset[:, None, None]) / span[:, None, None]
    if how in ("max", "ivr"):
        scaled = scaled.clamp(min=0)
    if how == "pas":
        scaled = scaled.clamp(max=1)
    if how == "percentile":
        scaled = scaled.clamp(0, 1)
    return torch.where(defined[:, None, None], scaled, 0)


def _at_share(maps: Tensor, q: float) -> Tensor:
    """The value of index ``int(q / 100 n)`` among the n sorted ones of each map, as IVR's code has it."""
    values = maps.flatten(1).sort(dim=1).values
    n = values.shape[1]
    return values[:, min(int(q / 100 * n), n - 1)]


def overflow_scale(maps: Tensor) -> Tensor | float:
    """What float64 maps are multiplied by, (N, 1, 1), so that their differences and spans do not overflow.

    No normalization sees a factor. Those of float32 maps need none: they are taken in float64.
    """
    if maps.dtype != torch.float64:
        return 1.0
    highest = maps.abs().amax(dim=(1, 2), keepdim=True)
    return torch.where(highest.isfinite() & (highest > _LARGE), 2.0**-4, 1.0).to(torch.float64)
