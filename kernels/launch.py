"""How work is divided among programs: tiles chosen by hand from the shape; and the device they are launched on.

Not an autotuner: there are few shapes, a tuner's first call takes seconds, and what it picks varies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["CamTile", "TapTile", "aligned", "cam_tile", "on_device_of", "power_of_two", "tap_tile"]


@dataclass(frozen=True)
class TapTile:
    """What one program pools at a time: ``rows`` channels; of each eighth, ``groups`` of ``width`` positions."""

    bytes: int  # positions in an eighth of a channel
    rows: int
    groups: int  # all held by one thread
    width: int
    vector: int  # values a thread loads at once
    warps: int
    last: bool  # channels_last: channels are adjacent in memory, not positions

    def programs(self, n: int, channels: int) -> int:
        """How many programs (N, C) takes. With channels_last, a program's channels are all of one image."""
        return n * -(-channels // self.rows) if self.last else -(-n * channels // self.rows)


def power_of_two(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << max(n - 1, 0).bit_length()


def tap_tile(positions: int, itemsize: int, last: bool) -> TapTile:
    """Tile for pooling: a thread holds 32 to 100 values; a channel of too many positions takes several steps."""
    eighth = max(4, power_of_two(-(-positions // 8)))
    if last:
        width = min(eighth // 4, 32)
        lanes = 32 if width == 1 else 16 if width <= 16 else 8
        vector = 8 // itemsize
        return TapTile(eighth, lanes * vector, 4, width, vector, width * lanes // 32, last)
    vector = math.gcd(positions, 16 // itemsize)
    width = min(eighth, 512 * vector)
    lanes = width // vector
    warps = max(4, lanes // 32)
    rows = max(1, min(8 // vector, 4)) * 32 * warps // lanes if lanes < 512 else 1
    return TapTile(eighth, rows, 1, width, vector, warps, last)


@dataclass(frozen=True)
class CamTile:
    """What one program adds up: ``rows`` channels of ``span`` positions, by ``warps`` warps."""

    rows: int
    span: int
    warps: int


def cam_tile(positions: int, last: bool) -> CamTile:
    """Tile for the weighted sum: by the size of the map alone, so that the order of the sum depends on nothing else."""
    span = min(max(power_of_two(positions), 16), 64 if last else 256)
    return CamTile(16384 // max(span, 64), span, 8)


def on_device_of(tensor: Tensor) -> torch.cuda.device:
    """Make the tensor's device the current one, which Triton launches on; nothing where it is no CUDA device."""
    return torch.cuda.device(tensor.device.index if tensor.is_cuda else -1)


def aligned(tensor: Tensor) -> Tensor:
    """The tensor, copied to where memory begins if it begins in the middle of 16 bytes, as some slices of a batch do.

    The compiler divides a tile over the threads by what it knows of addresses, and a sum's order follows from that.
    """
    return tensor.clone() if tensor.data_ptr() % 16 else tensor
