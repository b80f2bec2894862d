"""How the work is cut: tiles by hand from the shape, and the device they are launched on.

A table, not an autotuner: there are few shapes, a tuner's first call takes seconds, and what it picks varies.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Tile", "cam_tile", "on_device_of", "power_of_two", "tap_tile"]


@dataclass(frozen=True)
class Tile:
    """What one program works on: ``rows`` channels of ``span`` positions each, by ``warps`` warps."""

    rows: int
    span: int
    warps: int
    last: bool  # channels lie next to each other in memory (channels_last), or positions do

    def programs(self, n: int, channels: int) -> int:
        """How many programs (N, C) takes. Channels that lie next to each other are never of two images."""
        return n * -(-channels // self.rows) if self.last else -(-n * channels // self.rows)


def power_of_two(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << max(n - 1, 0).bit_length()


def tap_tile(positions: int, last: bool) -> Tile:
    """Tile for pooling. A thread holds 32 values; where a channel is too long for that, 16 of a step and their sums."""
    span = max(power_of_two(positions), 32)
    if last:
        if span > 1024:
            return Tile(32, 128, 8, last)
        # 64 channels side by side while they fit; 16 are still whole sectors of memory.
        rows = min(64, max(16, 8192 // span))
    else:
        if span > 16384:
            return Tile(1, 4096, 8, last)
        rows = max(1, 4096 // span)
    return Tile(rows, span, min(16, max(4, rows * span // 1024)), last)


def cam_tile(positions: int, last: bool) -> Tile:
    """Tile for the weighted sum, ``rows`` channels a program: by the size of the map alone, so is the order of sums."""
    span = min(max(power_of_two(positions), 16), 64 if last else 256)
    return Tile(16384 // max(span, 64), span, 8, last)


def on_device_of(tensor: Tensor) -> torch.cuda.device:
    """Make the tensor's device the current one, which Triton launches on; nothing where it is no CUDA device."""
    return torch.cuda.device(tensor.device.index if tensor.is_cuda else -1)
