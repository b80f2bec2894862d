"""Class activation map, resize, normalization, percentile and threshold (Eq. 2, 3, 5, 6).

Every operation is spelled in single, separately rounded steps and in one order, so that a faster implementation can
be held to the same bits.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastcam.protocol import Interpolation, Normalization

__all__ = ["cam", "kept", "normalize", "percentile", "resize"]


def cam(features: Tensor, weight: Tensor, index: Tensor | None, clamp_negative: bool) -> Tensor:
    """Weighted channel sum, (N, h, w) or (N, T, h, w), summed in the order of the channels (Eq. 2, 5).

    ``features`` (N, C, h, w); ``weight`` (K, C) with ``index`` (N,) or (N, T), or (N, C) with ``index`` None. A channel
    of weight 0 counts as not read: a NaN in it changes nothing. An index outside [0, K) gives a map of NaN.
    """
    work = torch.float64 if features.dtype == torch.float64 else torch.float32
    rows = weight.to(work)
    if index is not None:
        inside = (index >= 0) & (index < len(weight))
        rows = rows[torch.where(inside, index, 0)] if len(weight) else rows.new_zeros(*index.shape, rows.shape[1])
        rows = torch.where(inside[..., None], rows, torch.nan)
    if clamp_negative:
        rows = torch.where(rows < 0, 0, rows)
    planes = features if rows.ndim == 2 else features[:, None]
    total = torch.zeros(*rows.shape[:-1], *features.shape[2:], dtype=work, device=features.device)
    for channel in range(features.shape[1]):
        w = rows[..., channel, None, None]
        total = total + torch.where(w != 0, w * planes[..., channel, :, :].to(work), 0)
    return total


def resize(maps: Tensor, size: tuple[int, int], interpolation: Interpolation) -> Tensor:
    """Resize float32 ``maps`` (N, h, w) to (N, H, W): along the width first, half-pixel centres, replicated border.

    Bilinear is ``a + (b - a) * f``, whose values never leave [a, b]; bicubic is Keys' kernel with a = -0.75.
    """
    if maps.shape[1:] == size:
        return maps
    for axis, length in ((2, size[1]), (1, size[0])):
        maps = _resize_axis(maps, axis, length, interpolation)
    return maps


def _resize_axis(maps: Tensor, axis: int, length: int, interpolation: Interpolation) -> Tensor:
    n = maps.shape[axis]
    source = (np.arange(length) + 0.5) * n / length - 0.5
    if interpolation == "bilinear":
        source = source.clip(0, n - 1)
    first = np.floor(source)
    fraction = source - first

    def tap(offset: int) -> Tensor:
        at = (first + offset).clip(0, n - 1).astype(np.int64)
        return maps.index_select(axis, torch.from_numpy(at).to(maps.device))

    def factor(values: npt.NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(maps.device).reshape(-1, *[1] * (2 - axis))

    if interpolation == "bilinear":
        a, b = tap(0), tap(1)
        return a + (b - a) * factor(fraction)
    w0, w1, w2, w3 = map(factor, _cubic_weights(fraction))
    return ((tap(-1) * w0 + tap(0) * w1) + tap(1) * w2) + tap(2) * w3


def _cubic_weights(t: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    a = -0.75

    def near(d: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return far(t + 1), near(t), near(1 - t), far(2 - t)


def percentile(maps: Tensor, q: float) -> Tensor:
    """``numpy.percentile(map, q)`` of each map (N, H, W), bit for bit: (N,) float32, or float64 for uint8 levels.

    Linear interpolation between the two order statistics around ``(n - 1) q / 100``; NaN where the map holds one.
    """
    values = maps.flatten(1)
    virtual = (values.shape[1] - 1) * (q / 100)
    below = min(math.floor(virtual), values.shape[1] - 1)
    above = min(below + 1, values.shape[1] - 1)
    ordered = values.sort(dim=1).values
    work = torch.float64 if maps.dtype == torch.uint8 else torch.float32
    a, b = ordered[:, below].to(work), ordered[:, above].to(work)
    gamma = virtual - below
    step = (b - a) * torch.tensor(gamma if gamma < 0.5 else 1 - gamma, dtype=work, device=maps.device)
    result = a + step if gamma < 0.5 else b - step
    return torch.where(ordered[:, -1].isnan(), torch.nan, result)


def normalize(maps: Tensor, how: Normalization, q: float) -> Tensor:
    """Normalize resized float32 ``maps`` (N, H, W); returned in float64, before any rounding to float32 or levels."""
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


def kept(
    maps: Tensor,
    size: tuple[int, int],
    *,
    interpolation: Interpolation,
    normalization: Normalization,
    quantize: bool,
    q: float,
    threshold: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """From small maps (N, h, w) to what the threshold keeps.

    Returns the full maps (N, H, W), float32 or uint8 levels; the thresholds (N,) float32 in their units; and the masks
    (N, H, W) bool, ``maps > thresholds``. The threshold is ``float32(threshold) * percentile`` in float32, or
    ``trunc(threshold * percentile)`` of the levels. A map with a NaN keeps nothing.
    """
    resized = resize(maps.to(torch.float32), size, interpolation)
    nan = resized.isnan().any(dim=2).any(dim=1)
    full = normalize(resized, normalization, q)
    if quantize:
        full = (full.nan_to_num(nan=0).clamp(0, 1) * 255).to(torch.uint8)
        thresholds = (percentile(full, q) * threshold).floor().to(torch.float32)
        if normalization == "none":
            thresholds = torch.where(nan, torch.nan, thresholds)
    else:
        full = full.to(torch.float32)
        thresholds = percentile(full, q) * torch.tensor(threshold, dtype=torch.float32, device=maps.device)
    return full, thresholds, full.to(torch.float32) > thresholds[:, None, None]
