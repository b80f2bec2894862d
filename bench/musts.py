"""The speeds that are asked of fastcam, each with what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from figures import (
    Record,
    at_least,
    at_most,
    beside_distinct,
    beside_forward,
    faster,
    parts,
    short_labels,
    times,
    two_threads,
    what_the_read_allows,
)

__all__ = ["MUSTS", "Must", "musts_table"]

# A median of ratios wanders by this much from run to run: so close to equal is equal.
_EQUAL: Final = 1.05


@dataclass(frozen=True)
class Must:
    """One line: where to look, which figure to take there, and what it must and should be.

    `better` tells whether a larger figure is better (times faster) or a smaller one (times the time).
    """

    what: str
    row: Mapping[str, Any]
    figure: Callable[[list[Record]], float]
    must: float
    aim: float | Callable[[list[Record]], float] | None
    better: Callable[[float, float], bool]
    unit: str = "x"
    aim_text: str = ""
    beside: Callable[[list[Record]], str] = field(default=lambda _: "")


_BOXES: Final = {"what": "largest box", "size": "224x224", "images": 64}
_SMOOTH: Final = _BOXES | {"data": "smooth"}
_LOCALIZE: Final = {
    "what": "localize, PAPER",
    "data": "smooth",
    "size": "14x14x1024 to 224x224",
    "images": 64,
    "dtype": "float32",
}
_TAP: Final = {"data": "smooth", "size": "14x14x1024", "images": 64, "dtype": "float32"}
_SWEEP: Final = {"group": "evaluation", "size": "224x224"}
_OPENCV: Final = "OpenCV, a mask for each threshold"
_END_TO_END: Final = {"group": "evaluation", "what": "50,000 maps of one .npz, V1 and V2"}


_GAP: Final = times("fastcam", "adaptive_avg_pool2d")
_STATISTICS: Final = "connectedComponentsWithStats"

MUSTS: Final = [
    Must(
        "packed bits to largest box, smooth 224x224, N=64, against findContours + max contourArea + boundingRect",
        _SMOOTH,
        faster("fastcam, packed", "findContours TREE", "findContours EXTERNAL"),
        12,
        20,
        at_least,
    ),
    Must(
        "the same against connectedComponentsWithStats",
        _SMOOTH,
        faster("fastcam, packed", _STATISTICS),
        120,
        200,
        at_least,
        beside=short_labels,
    ),
    Must(
        "noise p=0.5, against connectedComponentsWithStats",
        _BOXES | {"data": "noise 0.5"},
        faster("fastcam, packed", _STATISTICS),
        6,
        8,
        at_least,
        beside=short_labels,
    ),
    Must(
        "polygon area instead of pixel count, smooth, its time",
        _SMOOTH,
        times("fastcam, packed, polygon", "fastcam, packed"),
        2,
        1.3,
        at_most,
    ),
    Must(
        "`localize` whole, 14x14x1024 to a box at 224x224, N=64, against einsum + resize + percentile + findContours",
        _LOCALIZE,
        faster("fastcam", "einsum + OpenCV, findContours"),
        6,
        10,
        at_least,
    ),
    Must(
        "`localize` whole, its time over that of torch's bmm for the map alone",
        _LOCALIZE,
        times("fastcam", "torch bmm, map alone"),
        0.8,
        0.5,
        at_most,
    ),
    Must(
        "`localize` of all boxes with their scores, its time over that of the largest alone",
        _LOCALIZE,
        times("fastcam, all boxes", "fastcam"),
        1.3,
        1.1,
        at_most,
    ),
    Must(
        "all boxes of maps with their scores, smooth 224x224, against anomalib's loop over components",
        {"what": "all boxes of maps, with scores", "data": "smooth"},
        faster("fastcam", "anomalib's loop, thresholds given"),
        20,
        100,
        at_least,
    ),
    Must(
        "component tree, smooth 224x224, one thread",
        {"what": "component tree", "data": "smooth"},
        lambda rows: float(next(one["us_per_image"] for one in rows[0]["contenders"] if one["name"] == "fastcam")),
        200,
        100,
        at_most,
        unit=" us",
    ),
    Must("TAP forward, its time over `adaptive_avg_pool2d`'s", _TAP | {"what": "TAP forward"}, _GAP, 1.5, 1, at_most),
    Must(
        "TAP forward + backward, its time over `adaptive_avg_pool2d`'s",
        _TAP | {"what": "TAP forward + backward"},
        _GAP,
        1.5,
        1,
        at_most,
    ),
    Must(
        "two threads against one, largest box, smooth, N=256",
        {"what": "largest box, packed", "data": "smooth", "images": 256},
        two_threads("whole"),
        1.6,
        1.9,
        at_least,
    ),
    Must(
        "two threads against one, `localize` whole, N=256",
        {"what": "localize, PAPER", "data": "smooth", "images": 256, "group": "two threads"},
        two_threads("whole"),
        1.25,
        what_the_read_allows,
        at_least,
        aim_text="what the read allows: ",
        beside=parts,
    ),
    Must(
        "peak extra memory of `localize` at 1024x1024, N=256, in full-size maps a thread (the worst of all cases)",
        {"group": "memory"},
        lambda rows: max(one["maps_per_thread"] for one in rows),
        2,
        None,
        at_most,
        unit=" maps",
    ),
    Must(
        "Grad-CAM of 16 images to boxes, ResNet50 at 224x224, against pytorch-grad-cam + findContours",
        {"group": "gradients", "data": "resnet50"},
        faster("fastcam", "pytorch-grad-cam + findContours"),
        2,
        5,
        at_least,
        beside=beside_forward,
    ),
    Must(
        "MaxBoxAcc (V1), 1000 thresholds, smooth maps, against the protocol with OpenCV",
        _SWEEP | {"what": "MaxBoxAcc", "data": "smooth 14x14"},
        faster("fastcam", _OPENCV),
        40,
        100,
        at_least,
        beside=beside_distinct,
    ),
    Must(
        "MaxBoxAccV2, smooth maps, against the same",
        _SWEEP | {"what": "MaxBoxAccV2", "data": "smooth 14x14"},
        faster("fastcam", _OPENCV),
        30,
        100,
        at_least,
        beside=beside_distinct,
    ),
    Must(
        "MaxBoxAccV2, noisy maps, against the same",
        _SWEEP | {"what": "MaxBoxAccV2", "data": "noisy 28x28"},
        faster("fastcam", _OPENCV),
        30,
        100,
        at_least,
        beside=beside_distinct,
    ),
    Must(
        "PxAP, against numpy.histogram",
        _SWEEP | {"what": "PxAP", "data": "smooth 14x14"},
        faster("fastcam", "numpy.histogram"),
        15,
        40,
        at_least,
    ),
    Must(
        "50,000 maps of 14x14 from one .npz, V1 and V2, two threads",
        _END_TO_END,
        lambda rows: float(rows[0]["seconds"]),
        60,
        20,
        at_most,
        unit=" s",
    ),
    Must(
        "the memory that the last 45,000 of them add to the peak",
        _END_TO_END,
        lambda rows: float(rows[0]["grown_mib"]),
        8,
        None,
        at_most,
        unit=" MiB",
    ),
]


def musts_table(records: Iterable[Record]) -> str:
    """Markdown: what is asked, what was measured, and whether it is met."""
    every = list(records)
    lines = ["| what | must | aim | measured | |", "|---|---|---|---|---|"]
    for asked in MUSTS:
        rows = [one for one in every if all(one.get(key) == value for key, value in asked.row.items())]
        lines.append(_line(asked, rows))
    return "\n".join(lines)


def _line(asked: Must, rows: list[Record]) -> str:
    sign = ">=" if asked.better is at_least else "<="
    must = f"{sign} {asked.must:g}{asked.unit}"
    try:
        value = asked.figure(rows)
        aim = asked.aim(rows) if callable(asked.aim) else asked.aim
        beside = asked.beside(rows)
    except (IndexError, KeyError, ValueError):
        return f"| {asked.what} | {must} | | not measured | |"
    told = "" if aim is None else f"{asked.aim_text}{sign} {aim:.3g}{asked.unit}"
    figure = f"{value:.3g}{asked.unit}" + (f" ({beside})" if beside else "")
    return f"| {asked.what} | {must} | {told} | {figure} | {_verdict(asked, value, aim)} |"


def _verdict(asked: Must, value: float, aim: float | None) -> str:
    if not asked.better(value, asked.must):
        return "**must short**"
    if aim is None:
        return "met"
    reached = asked.better(value, aim) or (aim == 1 and value <= _EQUAL)
    return "aim met" if reached else "met, aim short"
