"""A row of the benchmark: contenders for one task on one input, and what is written down about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import torch
from interleaved import Measured, interleaved
from pytest_benchmark.fixture import BenchmarkFixture

__all__ = ["Contender", "Row", "measure", "use_threads"]


@dataclass(frozen=True)
class Contender:
    """Somebody who does the row's task, a batch a call; a floor does only what the task cannot do without."""

    name: str
    role: Literal["fastcam", "peer", "floor"]
    run: Callable[[], object]
    threads: int = 1


@dataclass(frozen=True)
class Row:
    """One line of the table; its first contender is fastcam in the form the row is about."""

    group: Literal["boxes", "localize", "tap", "gradients", "evaluation", "two threads"]
    what: str
    data: str
    size: str
    images: int
    contenders: Sequence[Contender]
    dtype: str = "float32"
    note: str = ""
    # Images differ in the work they make: a measurement should cover many.
    fewest_images: int = 1


def measure(row: Row, benchmark: BenchmarkFixture, *, full: bool) -> None:
    """Time the contenders interleaved, then the first alone under pytest-benchmark; the record is in `extra_info`."""
    by_name = {one.name: one for one in row.contenders}
    benchmark.group = row.group
    first = row.contenders[0]
    if benchmark.disabled:
        for one in row.contenders:
            use_threads(one.threads)
            one.run()
        benchmark(first.run)
        return
    found = interleaved(
        {one.name: one.run for one in row.contenders},
        rounds=25 if full else 15,
        max_seconds=10 if full else 3,
        fewest_calls=-(-row.fewest_images // row.images),
        before=lambda name: use_threads(by_name[name].threads),
    )
    benchmark.extra_info.update(_record(row, found))
    use_threads(first.threads)
    benchmark.pedantic(first.run, rounds=5, iterations=found.calls[first.name], warmup_rounds=1)


def use_threads(count: int) -> None:
    """PyTorch's and fastcam's threads. OpenCV, whose images here are small, always has one."""
    torch.set_num_threads(count)
    cv2.setNumThreads(1)


def _record(row: Row, found: Measured) -> dict[str, Any]:
    contenders = [
        {
            "name": one.name,
            "role": one.role,
            "threads": one.threads,
            "us_per_image": found.median(one.name) / row.images * 1e6,
            "calls": found.calls[one.name],
            "seconds_per_call": found.seconds[one.name],
        }
        for one in row.contenders
    ]
    ours = [one.name for one in row.contenders if one.role == "fastcam"]
    return {
        "group": row.group,
        "what": row.what,
        "data": row.data,
        "size": row.size,
        "images": row.images,
        "dtype": row.dtype,
        "note": row.note,
        "contenders": contenders,
        # times_faster[a][b]: the median of b's time over a's within a round.
        "times_faster": {a: {b: found.ratio(b, a) for b in found.seconds if b != a} for a in ours},
    }
