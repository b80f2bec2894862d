"""The memory that `localize` takes on top of what it is given: a process of its own, which prints it as JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Final

import torch
from maps import cell_maps

import fastcam

__all__ = ["peak_memory"]

_IMAGES: Final = 256
_SIDE: Final = 1024
_CHANNELS: Final = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--protocol", choices=["PAPER", "AUTHORS"], default="PAPER")
    parser.add_argument("--data", choices=["smooth", "noisy"], default="smooth")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    features = cell_maps(chosen.data, _IMAGES, 14)[:, None].expand(-1, _CHANNELS, -1, -1).contiguous()
    weight, index = torch.ones(1, _CHANNELS), torch.zeros(_IMAGES, dtype=torch.int64)
    protocol = getattr(fastcam, chosen.protocol)
    # The threads' stacks and the allocator's arenas are there before what is measured.
    fastcam.localize(features, weight, index, size=(8, 8), protocol=protocol)
    before = _status("VmRSS")
    _reset_peak()
    fastcam.localize(features, weight, index, size=(_SIDE, _SIDE), protocol=protocol)
    grown = peak_memory() - before
    print(json.dumps({"maps_per_thread": grown / (4 * _SIDE * _SIDE) / chosen.threads}))


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """The most that this process has held at once, in bytes."""
    return _status("VmHWM")


def _status(field: str) -> int:
    """A field of Linux' account of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    main()
