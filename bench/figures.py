"""What the musts are told in: figures taken from the records of a benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = [
    "Record",
    "at_least",
    "at_most",
    "beside_distinct",
    "beside_forward",
    "faster",
    "parts",
    "short_labels",
    "times",
    "two_threads",
    "what_the_read_allows",
]

Record = Mapping[str, Any]


def at_least(value: float, wanted: float) -> bool:
    return value >= wanted


def at_most(value: float, wanted: float) -> bool:
    return value <= wanted


def faster(ours: str, *theirs: str) -> Callable[[list[Record]], float]:
    """How many times faster than the fastest of `theirs`."""

    def figure(rows: list[Record]) -> float:
        known = rows[0]["times_faster"][ours]
        return float(min(known[name] for name in theirs if name in known))

    return figure


def times(ours: str, other: str) -> Callable[[list[Record]], float]:
    """Our time over the other's."""
    return lambda rows: 1 / float(rows[0]["times_faster"][ours][other])


def two_threads(part: str) -> Callable[[list[Record]], float]:
    return faster(f"{part}, 2 threads", f"{part}, 1 thread")


def what_the_read_allows(rows: list[Record]) -> float:
    """The map as much faster as reading alone is, and what comes after it twice as fast."""
    time = {one["name"]: one["us_per_image"] for one in rows[0]["contenders"]}
    map_alone, compute = time["map, 1 thread"], time["compute, 1 thread"]
    return float((map_alone + compute) / (map_alone / two_threads("read")(rows) + compute / 2))


def parts(rows: list[Record]) -> str:
    return ", ".join(f"{part} {two_threads(part)(rows):.2f}x" for part in ("read", "map", "compute"))


def short_labels(rows: list[Record]) -> str:
    against = rows[0]["times_faster"]["fastcam, packed"].get("connectedComponentsWithStats, 16-bit labels")
    return f"{against:.3g}x with 16-bit labels" if against else ""


def beside_distinct(rows: list[Record]) -> str:
    return f"{rows[0]['times_faster']['fastcam']['OpenCV, a mask for each level']:.3g}x where OpenCV skips equal masks"


def beside_forward(rows: list[Record]) -> str:
    """Nothing that runs the network can be faster than its forward pass."""
    known = rows[0]["times_faster"]["fastcam"]
    bound = known["pytorch-grad-cam + findContours"] / known["the forward pass alone"]
    return f"the forward pass alone would be {bound:.3g}x"
