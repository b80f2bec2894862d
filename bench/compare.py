"""Times one checkout of fastcam against another: ``python bench/compare.py OLD_PYTHON NEW_PYTHON``.

Each of the two runs in a process of its own, with its own environment. A row's call is timed in one and then in the
other, in turns, so that the ratio survives a machine whose speed wanders. The processes are started several times,
because where a process's memory lies can change a row's time by half. What is called is the interface that both have.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import IO

_STARTS = 9
_TURNS = 3
_SECONDS = 0.04

Worker = tuple[IO[str], IO[str], list[str]]  # what it reads, what it writes, the names of its rows


def rows() -> dict[str, Callable[[], object]]:
    """The calls by their names; everything they need is made once, from fixed seeds."""
    import torch

    import fastcam
    from fastcam import metrics

    draw = torch.Generator().manual_seed(0)
    calls: dict[str, Callable[[], object]] = {}

    def smooth(count: int, side: int, size: int) -> torch.Tensor:
        small = torch.rand(count, 1, side, side, generator=draw)
        return torch.nn.functional.interpolate(small, (size, size), mode="bicubic")[:, 0]

    def add_localize(channels: int, side: int, size: int, **options: object) -> None:
        features = torch.rand(64, channels, side, side, generator=draw)
        weight = torch.randn(10, channels, generator=draw)
        index = list(range(10)) * 6 + [0, 1, 2, 3]
        name = f"localize {side}x{side}x{channels} to {size} {' '.join(options)}"
        calls[name] = lambda: fastcam.localize(features, weight, index, size=(size, size), **options)

    add_localize(1024, 14, 224)
    add_localize(2048, 7, 224)
    add_localize(512, 28, 224)
    add_localize(1024, 14, 448)
    add_localize(256, 14, 224, protocol=fastcam.AUTHORS)
    add_localize(256, 14, 224, return_maps=True)
    one = torch.rand(1, 1, 1, 1), torch.rand(1, 1)
    calls["localize, one image of 1x1"] = lambda: fastcam.localize(*one, [0], size=(1, 1))
    point = torch.rand(1, 1, 1)
    calls["boxes_from_maps, one image of 1x1"] = lambda: fastcam.boxes_from_maps(point)
    heat = smooth(64, 6, 14)
    for name in ("paper", "authors", "wsoleval"):
        protocol = fastcam.protocol.NAMED[name]
        calls[f"boxes_from_maps 14x14 to 224, {name}"] = lambda p=protocol: fastcam.boxes_from_maps(
            heat, size=(224, 224), protocol=p
        )
    features = torch.rand(64, 512, 14, 14, generator=draw)
    weight = torch.randn(10, 512, generator=draw)
    last = features.contiguous(memory_format=torch.channels_last)
    half = features.to(torch.bfloat16)
    for name, some in (("float32", features), ("channels_last", last), ("bfloat16", half)):
        calls[f"cam 14x14x512 {name}"] = lambda f=some: fastcam.cam(f, weight, [3] * 64)
        calls[f"tap 14x14x512 {name}"] = lambda f=some: fastcam.tap(f, 0.1)
    grown = features.clone().requires_grad_()
    calls["tap 14x14x512, forward and backward"] = lambda: torch.autograd.grad(fastcam.tap(grown, 0.1).sum(), grown)
    masks = smooth(64, 6, 224) > 0.6
    noise = torch.rand(64, 224, 224, generator=draw) > 0.5
    large = torch.rand(1, 2048, 2048, generator=draw) > 0.5
    single = masks[:1, :32, :32].contiguous()
    packed = fastcam.PackedMasks.pack(masks)
    for name, some in (
        ("packed", packed),
        ("smooth", masks),
        ("noise", noise),
        ("2048x2048", large),
        ("32x32", single),
    ):
        calls[f"largest {name}"] = lambda m=some: fastcam.boxes_from_masks(m)
    calls["largest polygon smooth"] = lambda: fastcam.boxes_from_masks(masks, area="polygon")
    calls["all components of noise"] = lambda: fastcam.boxes_from_masks(noise[:8], keep="all")
    scores, truth = smooth(16, 6, 14).clamp(0, 1), [torch.tensor([[20, 30, 150, 160]])] * 16
    pixels = torch.rand(16, 224, 224, generator=draw, dtype=torch.float64)
    objects = (torch.rand(16, 224, 224, generator=draw) > 0.7).to(torch.uint8)
    v2, pxap = metrics.MaxBoxAccV2(), metrics.PxAP()
    calls["MaxBoxAccV2 14x14 to 224"] = lambda: v2.update(scores, truth, size=(224, 224))
    calls["PxAP 224x224"] = lambda: pxap.update(pixels, objects)
    return calls


def work() -> None:
    """Time the rows that are asked for on standard input, one line each; answer with the seconds a call."""
    import torch

    torch.set_num_threads(1)
    calls = rows()
    print(json.dumps(list(calls)), flush=True)
    for line in sys.stdin:
        run = calls[json.loads(line)]
        run()
        count, start = 0, perf_counter()
        while perf_counter() - start < _SECONDS:
            run()
            count += 1
        print((perf_counter() - start) / count, flush=True)


def start(python: str) -> Worker:
    worker = subprocess.Popen([python, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert worker.stdin is not None
    assert worker.stdout is not None
    return worker.stdin, worker.stdout, json.loads(worker.stdout.readline())


def time_row(worker: Worker, name: str) -> float:
    """Seconds a call."""
    print(json.dumps(name), file=worker[0], flush=True)
    return float(worker[1].readline())


def main(old: str, new: str) -> None:
    """Compare, and print a line a row: microseconds a call of both, and how long the new one takes beside the old."""
    seconds: dict[str, list[tuple[float, float]]] = {}
    for number in range(_STARTS):
        workers = start(old), start(new)
        for name in workers[0][2]:
            turns: tuple[list[float], list[float]] = [], []
            for turn in range(_TURNS):
                for which in (0, 1) if (turn + number) % 2 else (1, 0):
                    turns[which].append(time_row(workers[which], name))
            seconds.setdefault(name, []).append((median(turns[0]), median(turns[1])))
        for worker in workers:
            worker[0].close()
    print(f"{'':45} {'old us':>10} {'new us':>10} {'new / old':>9}   quartiles")
    for name, pairs in seconds.items():
        before, after = (1e6 * median(some) for some in zip(*pairs, strict=True))
        ratios = sorted(b / a for a, b in pairs)
        low, high = ratios[_STARTS // 4], ratios[-1 - _STARTS // 4]
        print(f"{name:45} {before:10.1f} {after:10.1f} {median(ratios):9.2f}   {low:.2f} to {high:.2f}")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        work()
    else:
        main(*sys.argv[1:])
