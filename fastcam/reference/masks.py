"""What the threshold keeps of a map (Eq. 3, 6)."""

from __future__ import annotations

import torch
from torch import Tensor

from fastcam.protocol import Protocol
from fastcam.reference.normalization import normalize
from fastcam.reference.percentile import percentile
from fastcam.reference.resize import resize

__all__ = ["kept"]


def kept(maps: Tensor, size: tuple[int, int], protocol: Protocol) -> tuple[Tensor, Tensor, Tensor]:
    """From small maps (N, h, w) to what the threshold keeps.

    Returns the full-size maps (N, H, W), float32 or uint8 levels; the thresholds (N,) float32 in their units; and the
    masks (N, H, W) bool, ``maps > thresholds``. The threshold is ``float32(threshold) * percentile`` in float32, or
    ``trunc(threshold * percentile)`` of the levels. A map with a NaN keeps nothing.
    """
    q, theta = protocol.percentile, protocol.threshold
    resized = resize(maps.to(torch.float32), size, protocol.interpolation)
    nan = resized.isnan().any(dim=2).any(dim=1)
    full = normalize(resized, protocol.normalize, q)
    if protocol.quantize:
        full = (full.nan_to_num(nan=0).clamp(0, 1) * 255).to(torch.uint8)
        thresholds = (percentile(full, q) * theta).floor().to(torch.float32)
        if protocol.normalize == "none":
            thresholds = torch.where(nan, torch.nan, thresholds)
    else:
        full = full.to(torch.float32)
        thresholds = percentile(full, q) * torch.tensor(theta, dtype=torch.float32, device=maps.device)
    return full, thresholds, full.to(torch.float32) > thresholds[:, None, None]
