from typing import ClassVar, final

import numpy as np
import numpy.typing as npt

@final
class Protocol:
    fields: ClassVar[tuple[str, ...]]
    def __init__(self, **fields: bool | float | str | None) -> None: ...

def largest(
    data: int,
    packed: bool,
    count: int,
    height: int,
    width: int,
    area: str,
    connectivity: int,
    boxes: int,
    areas: int,
    threads: int,
    /,
) -> None: ...
def all_components(
    data: int, packed: bool, count: int, height: int, width: int, area: str, connectivity: int, threads: int, /
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], npt.NDArray[np.int64]]: ...

Columns = tuple[
    npt.NDArray[np.float32],
    npt.NDArray[np.float64],
    npt.NDArray[np.float64],
    npt.NDArray[np.float64],
    npt.NDArray[np.int64],
]

def locate_all(
    data: int,
    count: int,
    shape: tuple[int, int],
    size: tuple[int, int],
    protocol: Protocol,
    thresholds: int,
    maps: int,
    masks: int,
    threads: int,
    /,
) -> Columns: ...
def localize_all(
    features: int,
    dtype: int,
    shape: tuple[int, int, int],
    strides: tuple[int, ...],
    weight: int,
    rows: int,
    index: int,
    count: int,
    per_image: int,
    size: tuple[int, int],
    protocol: Protocol,
    thresholds: int,
    maps: int,
    masks: int,
    threads: int,
    /,
) -> Columns: ...
def objects_in_masks(
    data: int,
    packed: bool,
    count: int,
    height: int,
    width: int,
    area: str,
    connectivity: int,
    values: int,
    threads: int,
    /,
) -> Columns: ...
def box_trees(
    levels: int, count: int, height: int, width: int, threads: int, /
) -> tuple[
    npt.NDArray[np.float32],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
]: ...
def stable_levels(levels: int, count: int, height: int, width: int, thresholds: int, threads: int, /) -> None: ...
def cores() -> list[str]: ...
def core() -> str: ...
def choose_core(name: str, /) -> None: ...
def weighted_sums(
    features: int,
    dtype: int,
    shape: tuple[int, int, int],
    strides: tuple[int, ...],
    weight: int,
    rows: int,
    index: int,
    count: int,
    per_image: int,
    clamp_negative: bool,
    maps: int,
    threads: int,
    /,
) -> None: ...
def locate(
    data: int,
    count: int,
    shape: tuple[int, int],
    size: tuple[int, int],
    protocol: Protocol,
    boxes: int,
    areas: int,
    thresholds: int,
    maps: int,
    masks: int,
    threads: int,
    /,
) -> None: ...
def localize(
    features: int,
    dtype: int,
    shape: tuple[int, int, int],
    strides: tuple[int, ...],
    weight: int,
    rows: int,
    index: int,
    count: int,
    per_image: int,
    size: tuple[int, int],
    protocol: Protocol,
    boxes: int,
    areas: int,
    thresholds: int,
    maps: int,
    masks: int,
    threads: int,
    /,
) -> None: ...
def score_levels(
    data: int,
    dtype: int,
    raw: bool,
    count: int,
    shape: tuple[int, int],
    size: tuple[int, int],
    levels: int,
    inside: int,
    threads: int,
    /,
) -> None: ...
def score_histogram(
    data: int,
    dtype: int,
    raw: bool,
    count: int,
    shape: tuple[int, int],
    size: tuple[int, int],
    masks: int,
    edges: int,
    thresholds: int,
    counts: int,
    inside: int,
    known: int,
    threads: int,
    /,
) -> None: ...
def sweep(
    levels: int,
    count: int,
    height: int,
    width: int,
    boxes: int,
    ends: int,
    of_largest: int,
    largest: int,
    of_any: int,
    threads: int,
    /,
) -> None: ...
def tap_forward(
    x: int,
    dtype: int,
    interleaved: bool,
    images: int,
    channels: int,
    positions: int,
    threshold: float,
    values: int,
    cutoffs: int,
    counts: int,
    threads: int,
    /,
) -> None: ...
def tap_backward(
    grad: int,
    x: int,
    dtype: int,
    interleaved: bool,
    images: int,
    channels: int,
    positions: int,
    cutoffs: int,
    counts: int,
    dx: int,
    threads: int,
    /,
) -> None: ...
