"""Interrupts one long call into the core by a signal; a process of its own, run by test_interruptions.py.

It prints how many seconds after the signal the exception came out of the call, and whether a small call is right then.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import torch

import fastcam
from fastcam.ops.core import core
from fastcam.ops.score_maps import score_histogram
from fastcam.ops.sweep import sweep_levels

Call = Callable[[], object]
TRUTH = torch.tensor([[10.0, 10.0, 90.0, 90.0]], dtype=torch.float64)


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def noisy_bits(count: int, side: int) -> torch.Tensor:
    return torch.randint(-(2**63), 2**63 - 1, (count, side, side // 64), generator=torch.Generator().manual_seed(0))


def sweep(count: int, side: int) -> Call:
    levels = (noise(1, side, side) * 256).to(torch.uint8).expand(count, -1, -1)
    return lambda: sweep_levels(levels, TRUTH.expand(count, -1), torch.arange(1, count + 1), True, True)


def localize() -> Call:
    features = noise(1, 64, 14, 14).expand(200_000, -1, -1, -1)
    weight = noise(1000, 64)
    index = torch.zeros(200_000, dtype=torch.int64)
    return lambda: fastcam.localize(features, weight, index, size=(224, 224), protocol=fastcam.AUTHORS)


def masks(count: int, side: int) -> Call:
    packed = fastcam.PackedMasks(noisy_bits(count, side), (side, side))
    return lambda: [fastcam.boxes_from_masks(packed, area="polygon") for _ in range(100 if count == 1 else 1)]


def histogram() -> Call:
    maps = noise(1, 28, 28).expand(40_000, -1, -1).contiguous()
    some = torch.zeros(1, 224, 224, dtype=torch.uint8).expand(40_000, -1, -1).contiguous()
    edges = torch.from_numpy(np.append(np.arange(0, 1, 0.001), [1.0, 2, 3]))
    return lambda: score_histogram(maps, some, edges, True)


def tap() -> Call:
    x = noise(64, 512, 56, 56)
    return lambda: [fastcam.tap(x, 0.1) for _ in range(1000)]


CALLS: dict[str, Callable[[], Call]] = {
    "sweep of many maps": lambda: sweep(800, 224),
    "sweep of one map": lambda: sweep(1, 1200),
    "localize": localize,
    "masks": lambda: masks(4000, 512),
    "one mask": lambda: masks(1, 1 << 15),
    "histogram": histogram,
    "tap": tap,
}


def main(name: str, threads: int) -> None:
    # A shell's job in the background starts with the signal ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(threads)
    call = CALLS[name]()
    sent: list[float] = []

    def interrupt() -> None:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Timer(0.5, interrupt).start()
    try:
        call()
    except KeyboardInterrupt:
        seconds = time.perf_counter() - sent[0]
        small = fastcam.boxes_from_masks(torch.ones(1, 3, 5, dtype=torch.bool)).boxes.tolist() == [[0, 0, 5, 3]]
        swept = [part.tolist() for part in sweep(3, 40)()]
        core.choose_core("baseline")
        again = [part.tolist() for part in sweep(3, 40)()]
        print(seconds, "right" if small and swept == again else "wrong")  # noqa: T201
    else:
        print("never", "wrong")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
