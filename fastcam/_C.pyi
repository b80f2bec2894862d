import numpy as np
import numpy.typing as npt

def largest_regions(
    data: int,
    packed: bool,
    count: int,
    height: int,
    width: int,
    polygon: bool,
    connectivity: int,
    boxes: int,
    areas: int,
    threads: int,
    /,
) -> None: ...
def all_regions(
    data: int, packed: bool, count: int, height: int, width: int, polygon: bool, connectivity: int, threads: int, /
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], npt.NDArray[np.int64]]: ...
def cores() -> list[str]: ...
def core() -> str: ...
def choose_core(name: str, /) -> None: ...

# Bicubic, normalization, quantized, percentile, threshold, polygon, connectivity, clipped, the whole image if empty.
_Options = tuple[bool, int, bool, float, float, bool, int, bool, bool]
# Where boxes, areas, thresholds, full-size maps and masks go.
_Places = tuple[int, int, int, int, int]

def weighted_sums(
    features: int,
    dtype: int,
    shape: tuple[int, int, int],
    strides: tuple[int, int, int, int],
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
    options: _Options,
    places: _Places,
    threads: int,
    /,
) -> None: ...
def localize(
    features: int,
    dtype: int,
    shape: tuple[int, int, int],
    strides: tuple[int, int, int, int],
    weight: int,
    rows: int,
    index: int,
    count: int,
    per_image: int,
    clamp_negative: bool,
    size: tuple[int, int],
    options: _Options,
    places: _Places,
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
