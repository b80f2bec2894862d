"""What the threshold keeps of a map (Eq. 3, 6)."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from fastcam.protocol import Protocol
from fastcam.reference.normalization import normalize
from fastcam.reference.percentile import percentile
from fastcam.reference.resize import resize

__all__ = ["kept", "working_dtype"]

_LARGE: Final = 2.0**1020


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return what maps of a dtype are worked on in: float64 for float64, float32 for all others."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def kept(maps: Tensor, size: tuple[int, int], protocol: Protocol) -> tuple[Tensor, Tensor, Tensor]:
    """From small maps (N, h, w) to what the threshold keeps.

    Returns the full-size maps (N, H, W), in the working dtype or uint8 levels; the thresholds (N,) in their units and
    in the working dtype; and the masks (N, H, W) bool, ``maps > thresholds``. The threshold is
    ``threshold * percentile`` in the working dtype, or ``trunc(threshold * percentile)`` of the levels. A map with a
    NaN keeps nothing.
    """
    q, theta = protocol.percentile, protocol.threshold
    work = working_dtype(maps.dtype)
    scale = _scale(maps)
    resized = resize(maps.to(work) * scale, size, protocol.interpolation)
    if protocol.normalize == "none":
        resized = resized / scale
    full = normalize(resized, protocol.normalize, q)
    if protocol.quantize:
        full = (full.nan_to_num(nan=0).clamp(0, 1) * 255).to(torch.uint8)
        thresholds = (percentile(full, q) * theta).floor().to(work)
        if protocol.normalize == "none":
            thresholds = torch.where(resized.isnan().any(dim=2).any(dim=1), torch.nan, thresholds)
    else:
        full = full.to(work)
        thresholds = percentile(full, q) * torch.tensor(theta, dtype=work, device=maps.device)
    return full, thresholds, full.to(work) > thresholds[:, None, None]


def _scale(maps: Tensor) -> Tensor | float:
    """What float64 maps are multiplied by, (N, 1, 1), so that their differences and spans do not overflow.

    No normalization sees a factor. Those of float32 maps need none: they are taken in float64.
    """
    if maps.dtype != torch.float64:
        return 1.0
    highest = maps.abs().amax(dim=(1, 2), keepdim=True)
    return torch.where(highest.isfinite() & (highest > _LARGE), 2.0**-4, 1.0).to(torch.float64)
