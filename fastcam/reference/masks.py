"""What the threshold keeps of a map (Eq. 3, 6)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fastcam.protocol import Protocol
from fastcam.reference.normalization import normalize, overflow_scale
from fastcam.reference.otsu import LEVELS, otsu
from fastcam.reference.percentile import percentile
from fastcam.reference.resize import resize
from fastcam.reference.stability import stable

__all__ = ["kept", "limits", "working_dtype"]

_Rule = Callable[[Tensor], Tensor]  # from levels (N, H, W) uint8 to thresholds (N,)


def _stable_of_levels(levels: Tensor) -> Tensor:
    """On the host."""
    return torch.tensor([stable(one) for one in levels.cpu().numpy()], dtype=torch.int64, device=levels.device)


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return what maps of a dtype are worked on in: float64 for float64, float32 for all others."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def kept(
    maps: Tensor, size: tuple[int, int], protocol: Protocol, stable_levels: _Rule = _stable_of_levels
) -> tuple[Tensor, Tensor, Tensor]:
    """From small maps (N, h, w) to what the threshold keeps.

    Returns the full-size maps (N, H, W), in the working dtype or uint8 levels; the thresholds (N,) in their units and
    in the working dtype; and the masks (N, H, W) bool, ``maps > thresholds``. The threshold is
    ``threshold * percentile`` in the working dtype, or ``trunc(threshold * percentile)`` of the levels. A map with a
    NaN keeps nothing. ``stable_levels`` finds the most stable threshold of levels, as :func:`stable` does.
    """
    work = working_dtype(maps.dtype)
    scale = overflow_scale(maps)
    resized = resize(maps.to(work) * scale, size, protocol.interpolation)
    if protocol.normalize == "none":
        resized = resized / scale
    full = normalize(resized, protocol.normalize, protocol.percentile, protocol.base_percentile)
    full = _levels(full) if protocol.quantize else full.to(work)
    if isinstance(protocol.threshold, str):
        rule = _otsu_of_levels if protocol.threshold == "otsu" else stable_levels
        thresholds = _by_levels(full, rule).to(work)
    else:
        thresholds = limits(full, protocol.threshold, protocol).to(work)
    if protocol.quantize and protocol.normalize == "none":
        thresholds = torch.where(resized.isnan().any(dim=2).any(dim=1), torch.nan, thresholds)
    return full, thresholds, full.to(work) > thresholds[:, None, None]


def limits(full: Tensor, theta: float, protocol: Protocol) -> Tensor:
    """``theta`` of the percentile of each map (N, H, W), in the maps' dtype; of levels truncated, in float64."""
    reference = percentile(full, protocol.percentile)
    if full.dtype == torch.uint8:
        return (reference * theta).floor()
    return reference * torch.full((), theta, dtype=full.dtype, device=full.device)


def _levels(maps: Tensor) -> Tensor:
    return (maps.nan_to_num(nan=0).clamp(0, 1) * 255).to(torch.uint8)


def _by_levels(full: Tensor, rule: _Rule) -> Tensor:
    """A rule's threshold of levels (N, H, W); of other maps the largest value at or below that of their levels."""
    if full.dtype == torch.uint8:
        return rule(full)
    levels = _levels(normalize(full * overflow_scale(full), "minmax", 100))
    upper = levels > rule(levels)[:, None, None]
    return full.masked_fill(upper, -torch.inf).amax(dim=(1, 2))


def _otsu_of_levels(levels: Tensor) -> Tensor:
    """On the host: 256 numbers a map are few."""
    counts = [torch.bincount(one.flatten(), minlength=LEVELS).cpu().numpy() for one in levels]
    found = otsu(np.stack(counts)) if counts else np.zeros(0, np.int64)
    return torch.from_numpy(found).to(levels.device)
