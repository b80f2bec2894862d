"""Fails the allocations of the core one by one in every operation; a process of its own, run by test_allocations.py.

Before each failure it prints which one it is, and then what came of it. So the process that started it sees which one
hung or crashed, and starts another behind that.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import threading
from collections.abc import Callable
from itertools import count, product

import numpy as np
import torch
from cases import pooling_input, random_masks, smooth_maps, varied
from torch import Tensor

import fastcam
from fastcam.ops.core import core
from fastcam.ops.localization import locate
from fastcam.ops.objects import locate_all
from fastcam.ops.pooling import tap_forward
from fastcam.ops.score_maps import score_histogram, score_levels
from fastcam.ops.sweep import sweep_levels
from fastcam.ops.trees import box_trees

Operation = Callable[[int], tuple[Tensor, ...]]
"""An operation on a batch of a size that is given: that many pixels wide and high."""

SIDES = (23, 150)  # the buffers that the first one leaves are too small for the second one
SIDES_IN_STRIPS = (1 << 15, 1 << 15)


def noise(side: int, height: int | None = None) -> Tensor:
    height = height or side
    rows = torch.stack([torch.from_numpy(mask) for mask in random_masks(min(height, 150), side, 0).values()])
    return rows if height <= 150 else rows.repeat(1, -(-height // 150), 1)[:, :height]


def masks(keep: str, area: str, connectivity: int, packed: bool, side: int) -> tuple[Tensor, ...]:
    some = torch.cat((noise(side)[[0, 3, 11]], torch.zeros(80, side, side, dtype=torch.bool)))
    batch = fastcam.PackedMasks.pack(some) if packed else some
    found = fastcam.boxes_from_masks(batch, keep=keep, area=area, connectivity=connectivity)
    return found.boxes, found.areas, *([] if found.image is None else [found.image])


@functools.cache
def large_mask(kind: int, side: int) -> Tensor:
    return noise(side, 128)[kind, None]


def strips(kind: int, keep: str, area: str, connectivity: int, side: int) -> tuple[Tensor, ...]:
    found = fastcam.boxes_from_masks(large_mask(kind, side), keep=keep, area=area, connectivity=connectivity)
    return found.boxes, found.areas, *([] if found.image is None else [found.image])


def located(protocol: fastcam.Protocol, side: int) -> tuple[Tensor, ...]:
    return locate(smooth_maps(24, (9, 7), 0), side, side + 3, *protocol.values, True, True)


def every_located(protocol: fastcam.Protocol, dtype: torch.dtype, side: int) -> tuple[Tensor, ...]:
    maps = torch.randn(24, 9, 7, generator=torch.Generator().manual_seed(0)).to(dtype)
    return locate_all(maps, side, side + 3, *protocol.values, True, True)


def trees(noisy: bool, side: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(4, side, side, generator=generator) if noisy else smooth_maps(4, (side, side), 0).clamp(0, 1)
    return tuple(map(torch.from_numpy, box_trees((maps * 255).to(torch.uint8))))


def localize(protocol: fastcam.Protocol, dtype: torch.dtype, side: int) -> tuple[Tensor, ...]:
    features = torch.randn(24, side, 7, 9, generator=torch.Generator().manual_seed(0)).to(dtype)
    weight = torch.randn(24, side, generator=torch.Generator().manual_seed(1)).to(dtype)
    found = fastcam.localize(features, weight, size=(side, side), protocol=protocol)
    return found.boxes, found.areas, found.thresholds


def cam(side: int) -> tuple[Tensor, ...]:
    features = torch.randn(24, side, 7, 9, generator=torch.Generator().manual_seed(0))
    return (fastcam.cam(features, torch.ones(24, side)),)


def pooling(layout: torch.memory_format, dtype: torch.dtype, side: int) -> tuple[Tensor, ...]:
    x = pooling_input(side, 33, dtype).repeat(4, 1, 1, 1).contiguous(memory_format=layout).requires_grad_()
    pooled = fastcam.tap(x, 0.1)
    return pooled.detach(), *torch.autograd.grad(pooled, x, torch.ones_like(pooled)), *tap_forward(x.detach(), 0.1)


def scores(raw: bool, dtype: torch.dtype, side: int) -> tuple[Tensor, ...]:
    maps = smooth_maps(16, (9, 7) if raw else (side, side), 0).clamp(0, 1).to(dtype)
    masks = (smooth_maps(16, (side, side), 1) > 0.5).to(torch.uint8)
    edges = torch.tensor([*np.arange(0, 1, 1 / side), 1, 2, 3], dtype=torch.float64)
    return *score_levels(maps, side, side, raw), *score_histogram(maps, masks, edges, raw)


def sweep(noisy: bool, side: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(4, side, side, generator=generator) if noisy else smooth_maps(4, (side, side), 0).clamp(0, 1)
    boxes, ends = torch.tensor([[1.0, 2.0, 12.0, 9.0]] * 4, dtype=torch.float64), torch.arange(1, 5)
    return sweep_levels((maps * 255).to(torch.uint8), boxes, ends, True, True)


def operations() -> dict[str, tuple[Operation, tuple[int, int]]]:
    """Every operation, by name, with a small and a large size."""
    partial = functools.partial
    plain: dict[str, Operation] = {"cam": cam}
    for keep, area, connectivity, packed in product(("largest", "all"), ("pixels", "polygon"), (4, 8), (False, True)):
        name = f"{keep}, {area}, {connectivity}, {'packed' if packed else 'bytes'}"
        plain[name] = partial(masks, keep, area, connectivity, packed)
    for normalize, quantize, interpolation, area, connectivity in product(
        ("none", "minmax", "max", "percentile"), (False, True), ("bilinear", "bicubic"), ("pixels",), (8,)
    ):
        fields = {"normalize": normalize, "quantize": quantize, "interpolation": interpolation}
        protocol = varied(fastcam.PAPER, **fields, area=area, connectivity=connectivity)
        plain[f"locate {normalize}, {quantize}, {interpolation}"] = partial(located, protocol)
    for connectivity, dtype in product((4, 8), (torch.float32, torch.float64, torch.float16, torch.bfloat16)):
        protocol = varied(fastcam.AUTHORS, connectivity=connectivity)
        plain[f"localize {connectivity}, {dtype}"] = partial(localize, protocol, dtype)
    for layout, dtype in product((torch.contiguous_format, torch.channels_last), (torch.float32, torch.float16)):
        plain[f"tap {layout}, {dtype}"] = partial(pooling, layout, dtype)
    for raw, dtype in product((False, True), (torch.float32, torch.float64)):
        plain[f"scores {raw}, {dtype}"] = partial(scores, raw, dtype)
    for noisy in (False, True):
        plain[f"sweep {noisy}"] = partial(sweep, noisy)
        plain[f"trees {noisy}"] = partial(trees, noisy)
    for scores_of, connectivity, dtype in product(("peak", "mean"), (4, 8), (torch.float32, torch.float64)):
        protocol = fastcam.PAPER.replace(keep="all", scores=scores_of, connectivity=connectivity, normalize="ivr")
        plain[f"all {scores_of}, {connectivity}, {dtype}"] = partial(every_located, protocol, dtype)
    otsu = fastcam.PAPER.replace(threshold="otsu", high_threshold=0.9, normalize="pas")
    plain["otsu and hysteresis"] = partial(located, otsu)
    plain["stable"] = partial(located, fastcam.PAPER.replace(threshold="stable"))
    found = {name: (operation, SIDES) for name, operation in plain.items()}
    for kind, keep, area, connectivity in product((3, 11), ("largest", "all"), ("pixels", "polygon"), (4, 8)):
        found[f"strips {kind}, {keep}, {area}, {connectivity}"] = (
            partial(strips, kind, keep, area, connectivity),
            SIDES_IN_STRIPS,
        )
    return found


class Failures:
    """The allocations of the core, through the library that stands before all others."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(os.environ["LD_PRELOAD"].split(":")[-1])
        self.library.fail_allocation.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_long)
        self.library.failed_allocations.restype = ctypes.c_long
        with open("/proc/self/maps", encoding="utf-8") as maps:
            lines = [line.split() for line in maps if line.rstrip().endswith(core.__file__)]
        (code,) = (line[0] for line in lines if "x" in line[1])
        self.code = tuple(int(end, 16) for end in code.split("-"))

    def at(self, k: int, call: Callable[[], tuple[Tensor, ...]]) -> tuple[tuple[Tensor, ...] | None, bool]:
        """What the call gives while allocation k fails, None for a MemoryError; and whether there was that one."""
        self.library.fail_allocation(*self.code, k)
        try:
            return call(), bool(self.library.failed_allocations())
        except MemoryError:
            return None, True
        finally:
            self.library.fail_allocation(0, 0, -1)


def same(found: tuple[Tensor, ...], right: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(found, right, strict=True))


def in_a_thread(function: Callable[[], str]) -> str:
    """The core's buffers belong to threads: in a new one, all of them are empty."""
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(function()))
    thread.start()
    thread.join()
    return said[0] if said else "wrong: another exception"


def fail(failures: Failures, operation: Operation, right: dict[int, tuple[Tensor, ...]], grown: bool, k: int) -> str:
    """Fails allocation k of the operation, and repeats it; where `grown`, after it has left smaller buffers."""
    small, large = min(right), max(right)

    def attempt() -> str:
        if grown and not same(operation(small), right[small]):
            return "wrong: the small call"
        found, failed = failures.at(k, lambda: operation(large))
        if found is not None and not same(found, right[large]):
            return "wrong: the failed call"
        if not same(operation(large), right[large]):
            return "wrong: the repeated call"
        if not same(operation(small), right[small]):
            return "wrong: the small call after the repeated one"
        return "none" if not failed else "passed over" if found is not None else "ok"

    return in_a_thread(attempt)


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201


def main(build: str, threads: str, share: int, first: int, first_k: int) -> None:
    core.choose_core(build)
    torch.set_num_threads(1 if threads == "1" else 2)
    failures = Failures()
    cases = list(product(operations().items(), (False, True)))
    for number, ((name, (operation, sides)), grown) in enumerate(cases):
        if (
            number < first
            or number % share
            or (grown and sides[0] == sides[1])
            or ("strips" in name and threads == "1")
        ):
            continue
        right = {side: operation(side) for side in sides}
        for k in count(first_k if number == first else 0):
            say(number, k)
            said = fail(failures, operation, right, grown, k)
            say(said, "" if said in ("ok", "none") else f"{name} {grown}")
            if said == "none":
                break
    say("end")


if __name__ == "__main__":
    build, threads = sys.argv[1:3]
    if threads == "forked" and (child := os.fork()):  # the core's own threads, in place of OpenMP's
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    main(build, threads, *map(int, sys.argv[3:]))
