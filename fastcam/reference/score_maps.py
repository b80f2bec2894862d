"""Score maps as the evaluators of the field make and read them: resized, normalized, in levels, in histograms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["histogram", "normalized", "resized", "to_levels"]


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """``cv2.resize(map, (W, H), interpolation=cv2.INTER_CUBIC)`` of each float64 map (N, h, w), bit for bit.

    Along the width first, half-pixel centres, replicated border, Keys' kernel with a = -0.75, whose factors are made
    in float32.
    """
    if maps.shape[1:] == size:
        return maps
    return _resized_along(_resized_along(maps, 2, size[1]), 1, size[0])


def _resized_along(maps: Tensor, axis: int, length: int) -> Tensor:
    count = maps.shape[axis]
    source = ((np.arange(length) + 0.5) * (count / length) - 0.5).astype(np.float32)
    first = np.floor(source)

    def tap(offset: int) -> Tensor:
        at = (first + offset).clip(0, count - 1).astype(np.int64)
        return maps.index_select(axis, torch.from_numpy(at).to(maps.device))

    w0, w1, w2, w3 = (
        torch.from_numpy(weight.astype(np.float64)).to(maps.device).reshape(-1, *[1] * (2 - axis))
        for weight in _opencv_weights(source - first)
    )
    return ((tap(-1) * w0 + tap(0) * w1) + tap(1) * w2) + tap(2) * w3


def _opencv_weights(t: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], ...]:
    """Keys' kernel as OpenCV computes it: in float32, the fourth weight from the other three."""
    a, one = np.float32(-0.75), np.float32(1)
    w0 = ((a * (t + one) - 5 * a) * (t + one) + 8 * a) * (t + one) - 4 * a
    w1 = ((a + 2) * t - (a + 3)) * t * t + one
    w2 = ((a + 2) * (one - t) - (a + 3)) * (one - t) * (one - t) + one
    return w0, w1, w2, one - w0 - w1 - w2


def normalized(maps: Tensor) -> Tensor:
    """``(x - min) / max(x - min)`` of each float64 map (N, H, W); zeros where it is constant or not finite."""
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    span = high - low
    defined = (span > 0) & span.isfinite()
    return torch.where(defined, (maps - low) / torch.where(defined, span, 1), 0)


def to_levels(maps: Tensor) -> Tensor:
    """Levels 0 to 255 (uint8) of float64 scores in [0, 1], truncated."""
    return (maps * 255).to(torch.uint8)


def histogram(maps: Tensor, masks: Tensor, edges: Tensor) -> Tensor:
    """Counts (2, len(edges) - 1) int64 of the scores of background (mask 0) and of objects (mask 1) between edges.

    As ``numpy.histogram`` counts: a bin holds its lower edge and not its upper one, but for the last bin.
    """
    bins = len(edges) - 1
    counts = []
    for kind in (0, 1):
        scores = maps[masks == kind]
        bin_of = (torch.bucketize(scores, edges, right=True) - 1).clamp(max=bins - 1)
        counts.append(torch.bincount(bin_of, minlength=bins))
    return torch.stack(counts)
