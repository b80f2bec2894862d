"""Resizing maps along one axis after the other, bilinear or bicubic.

Every operation is spelled out in single, separately rounded steps and in one order, so that a faster implementation can
be held to the same bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastcam.protocol import Interpolation

__all__ = ["cubic_weights", "resize"]


def resize(maps: Tensor, size: tuple[int, int], interpolation: Interpolation) -> Tensor:
    """Resize ``maps`` (N, h, w) to (N, H, W): along the width first, half-pixel centres, replicated border.

    Bilinear is ``a + (b - a) * f``, whose values never leave [a, b]; bicubic is Keys' kernel with a = -0.75. Of float32
    maps, in float32; of float64 maps, in float64.
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
        return torch.from_numpy(values).to(maps.dtype).to(maps.device).reshape(-1, *[1] * (2 - axis))

    if interpolation == "bilinear":
        a, b = tap(0), tap(1)
        return a + (b - a) * factor(fraction)
    w0, w1, w2, w3 = map(factor, cubic_weights(fraction))
    return ((tap(-1) * w0 + tap(0) * w1) + tap(1) * w2) + tap(2) * w3


def cubic_weights(fraction: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """Weights of the four inputs around a sample that lies ``fraction`` beyond the second: Keys' kernel, a = -0.75."""
    a = -0.75

    def inner(d: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def outer(d: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return outer(fraction + 1), inner(fraction), inner(1 - fraction), outer(2 - fraction)
