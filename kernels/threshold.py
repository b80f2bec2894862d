"""From small maps to packed masks (Eq. 3, 6): resized on the fly, exact percentile, one bit a pixel.

No full-size map is made unless it is asked for: the small maps' rows are resized along the width, and every pass over
the pixels evaluates them anew from those, two loads that the cache answers and three operations for a bilinear pixel.

The order statistic is found by counting: a pass counts what lies at or below three pivots, two beside where it should
be if the values were spread evenly, and one that halves the range of keys, so that there are never more than 33 passes.
Every normalization, and the step to levels, is a function that never decreases: the normalized
order statistics are those of the normalized, and the mask is a comparison of the raw value with a cutoff.

All arithmetic is that of the reference in the same order and without contraction: the same bits.
"""

from __future__ import annotations

import functools
import math
import struct
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
import triton
import triton.language as tl
from fastcam.kernels.launch import on_device_of
from torch import Tensor

__all__ = ["binarize"]

_NORMALIZE: Final = {"none": 0, "minmax": 1, "max": 2, "percentile": 3}
_INFINITY = tl.constexpr(float("inf"))
_NAN = tl.constexpr(float("nan"))
_BLOCK = tl.constexpr(64)  # tables and rows are padded to a multiple of this
_MAGNITUDE = tl.constexpr(0x7FFFFFFF)

# ------------------------------------------------------------------------------------------------------------ resize


@triton.jit
def _resized(p, step, other, first, factors, last, length, at, TAPS: tl.constexpr):
    """Values ``at`` of an axis whose input positions lie ``step`` apart, at ``other`` across it."""
    here = tl.load(first + at)
    f = tl.load(factors + at)
    if TAPS == 1:
        return tl.load(p + here * step + other) * f
    elif TAPS == 2:
        a = tl.load(p + here * step + other)
        b = tl.load(p + tl.minimum(here + 1, last) * step + other)
        return a + (b - a) * f
    else:
        value = tl.load(p + tl.minimum(tl.maximum(here - 1, 0), last) * step + other) * f
        for tap in tl.static_range(1, 4):
            f = tl.load(factors + tap * length + at)
            value += tl.load(p + tl.minimum(tl.maximum(here + (tap - 1), 0), last) * step + other) * f
        return value


@triton.jit(do_not_specialize=["w"])
def _widen(maps, first, factors, rows, w, stride, TAPS: tl.constexpr, X: tl.constexpr):
    """Resize one row of one map along the width; beyond it, up to the stride, come NaNs, which exceed nothing."""
    pid = tl.program_id(0).to(tl.int64)
    blocks = tl.cdiv(stride, X)
    row = pid // blocks
    x = (pid % blocks * X).to(tl.int32) + tl.arange(0, X)
    tl.store(rows + row * stride + x, _resized(maps + row * w, 1, 0, first, factors, w - 1, stride, x, TAPS))


# --------------------------------------------------------------------------------------------------- keys and levels


@triton.jit
def _key(x):
    """Integers in the order of floats; both zeros have the key 0."""
    bits = x.to(tl.int32, bitcast=True)
    return tl.where(bits < 0, -(bits & _MAGNITUDE), bits)


@triton.jit
def _of_key(key):
    magnitude = tl.where(key < 0, -key, key).to(tl.float32, bitcast=True)
    return tl.where(key < 0, -magnitude, magnitude)


@triton.jit
def _middle(a, b):
    return ((a.to(tl.int64) + b.to(tl.int64)) >> 1).to(tl.int32)


@triton.jit
def _scaled(x, offset, span, low, high):
    value = (x.to(tl.float64) - offset) / span
    value = tl.where(value > low, value, low)  # low for a NaN
    return tl.where(value < high, value, high)


@triton.jit
def _level(x, offset, span, low, high):
    value = _scaled(x, offset, span, low, high)
    value = tl.where(value > 0, value, 0.0)
    return (tl.where(value < 1, value, 1.0) * 255).to(tl.int32)


@triton.jit
def _between(a, b, factor, UPPER: tl.constexpr):
    """NumPy's percentile between the two order statistics: from below, or from above where that is nearer."""
    step = (b - a) * factor
    if UPPER:
        return b - step
    else:
        return a + step


# -------------------------------------------------------------------------------------------------- order statistics


@triton.jit
def _pixels(rows, first, factors, last, length, stride, tile, TAPS: tl.constexpr, Y: tl.constexpr, X: tl.constexpr):
    """Tile ``tile`` of the full-size map, (Y, X); NaN beyond its edges."""
    blocks = stride // X
    y = tile // blocks * Y + tl.arange(0, Y)
    x = tile % blocks * X + tl.arange(0, X)
    return _resized(rows, stride, x[None, :], first, factors, last, length, y[:, None], TAPS), y, x


@triton.jit
def _order_statistics(
    rows, first, factors, last, length, stride, tiles, pixels, k,
    TAPS: tl.constexpr, Y: tl.constexpr, X: tl.constexpr,
):  # fmt: skip
    """Smallest and largest value, the k-th and the one after it, and whether there is a NaN among them."""
    low = tl.full((Y, X), _INFINITY, tl.float32)
    high = tl.full((Y, X), -_INFINITY, tl.float32)
    numbers = tl.zeros((Y, X), tl.int32)
    for tile in range(0, tiles):
        v, _, _ = _pixels(rows, first, factors, last, length, stride, tile, TAPS, Y, X)
        low = tl.where(v < low, v, low)
        high = tl.where(v > high, v, high)
        numbers += (v == v).to(tl.int32)
    smallest = tl.min(low)
    largest = tl.max(high)
    nan = tl.sum(numbers) != pixels

    # Invariant: at most k values lie below low_key, and more than k lie at or below high_key.
    low_key = _key(smallest)
    high_key = tl.where(nan, low_key, _key(largest))
    below = tl.cast(0, tl.int32)
    up_to = tl.cast(pixels, tl.int32)
    while (low_key < high_key) & (up_to != k + 1):
        bottom = _of_key(low_key)
        span = _of_key(high_key) - bottom
        between = (up_to - below).to(tl.float32)
        aim = ((k - below).to(tl.float32) + 0.5) / between
        # Of values spread evenly, this much beside the aim is rarely missed; more while they are many.
        margin = 0.6 / between + 0.05
        middle = _middle(low_key, high_key)
        p0 = bottom + span * (aim - margin)
        p1 = bottom + span * (aim + margin)
        # What overflowed is as good a pivot as any: between the two keys, the last excluded.
        k0 = tl.minimum(tl.maximum(tl.where(p0 == p0, _key(p0), middle), low_key), high_key - 1)
        k1 = tl.minimum(tl.maximum(tl.where(p1 == p1, _key(p1), middle), low_key), high_key - 1)
        p0 = _of_key(k0)
        p1 = _of_key(k1)
        p2 = _of_key(middle)
        c0 = tl.zeros((Y, X), tl.int32)
        c1 = tl.zeros((Y, X), tl.int32)
        c2 = tl.zeros((Y, X), tl.int32)
        for tile in range(0, tiles):
            v, _, _ = _pixels(rows, first, factors, last, length, stride, tile, TAPS, Y, X)
            c0 += (v <= p0).to(tl.int32)
            c1 += (v <= p1).to(tl.int32)
            c2 += (v <= p2).to(tl.int32)
        low_key, high_key, below, up_to = _narrowed(low_key, high_key, below, up_to, k0, tl.sum(c0), k)
        low_key, high_key, below, up_to = _narrowed(low_key, high_key, below, up_to, k1, tl.sum(c1), k)
        low_key, high_key, below, up_to = _narrowed(low_key, high_key, below, up_to, middle, tl.sum(c2), k)

    # Nothing lies between the k-th value and high: the largest up to there is it, the smallest beyond comes next.
    pivot = _of_key(high_key)
    low = tl.full((Y, X), -_INFINITY, tl.float32)
    high = tl.full((Y, X), _INFINITY, tl.float32)
    for tile in range(0, tiles):
        v, _, _ = _pixels(rows, first, factors, last, length, stride, tile, TAPS, Y, X)
        low = tl.where((v <= pivot) & (v > low), v, low)
        high = tl.where((v > pivot) & (v < high), v, high)
    kth = tl.max(low)
    after = tl.where((up_to > k + 1) | (k + 1 == pixels), kth, tl.min(high))
    return smallest, largest, kth, after, nan


@triton.jit
def _narrowed(low_key, high_key, below, up_to, key, count, k):
    """The invariant after ``count`` values were found at or below ``key``."""
    lower = (count > k) & (key < high_key)
    higher = (count <= k) & (key >= low_key)
    high_key = tl.where(lower, key, high_key)
    up_to = tl.where(lower, count, up_to)
    low_key = tl.where(higher, key + 1, low_key)
    below = tl.where(higher, count, below)
    return low_key, high_key, below, up_to


# --------------------------------------------------------------------------------------------------------- threshold


@triton.jit
def _normalization(smallest, largest, kth, after, nan, factor, NORMALIZE: tl.constexpr, UPPER: tl.constexpr):
    """Offset, span and bounds of ``clamp((x - offset) / span)``, in float64; all zero where that is undefined."""
    offset = smallest.to(tl.float64)
    span = tl.cast(1, tl.float64)
    low = tl.cast(-_INFINITY, tl.float64)
    high = tl.cast(_INFINITY, tl.float64)
    if NORMALIZE == 0:
        offset = tl.cast(0, tl.float64)
    else:
        if NORMALIZE == 1:
            span = largest.to(tl.float64) - offset
        else:
            offset = tl.cast(0, tl.float64)
            low = tl.cast(0, tl.float64)
            if NORMALIZE == 2:
                span = largest.to(tl.float64)
            else:
                span = _between(kth, after, factor.to(tl.float32), UPPER).to(tl.float64)
                high = tl.cast(1, tl.float64)
        defined = (span > 0) & (smallest > -_INFINITY) & (largest < _INFINITY) & (nan == 0)
        offset = tl.where(defined, offset, 0.0)
        span = tl.where(defined, span, 1.0)
        low = tl.where(defined, low, 0.0)
        high = tl.where(defined, high, 0.0)
    return offset, span, low, high


@triton.jit
def _exceeds(key, threshold, offset, span, low, high, QUANTIZE: tl.constexpr):
    if QUANTIZE:
        return _level(_of_key(key), offset, span, low, high).to(tl.float32) > threshold
    else:
        return _scaled(_of_key(key), offset, span, low, high).to(tl.float32) > threshold


@triton.jit
def _raw_cutoff(threshold, offset, span, low, high, QUANTIZE: tl.constexpr):
    """The largest raw value whose normalized one does not exceed the threshold."""
    below = _key(tl.cast(-_INFINITY, tl.float32))
    above = _key(tl.cast(_INFINITY, tl.float32))
    if _exceeds(above, threshold, offset, span, low, high, QUANTIZE):
        while below + 1 < above:
            middle = _middle(below, above)
            over = _exceeds(middle, threshold, offset, span, low, high, QUANTIZE)
            above = tl.where(over, middle, above)
            below = tl.where(over, below, middle)
    else:
        below = above
    return _of_key(below)


@triton.jit
def _threshold(
    kth, after, nan, offset, span, low, high, factor, theta,
    NORMALIZE: tl.constexpr, QUANTIZE: tl.constexpr, UPPER: tl.constexpr,
):  # fmt: skip
    """The threshold in the units of the normalized map, and the raw value that it stands for."""
    if QUANTIZE:
        a = _level(kth, offset, span, low, high).to(tl.float64)
        b = _level(after, offset, span, low, high).to(tl.float64)
        threshold = tl.floor(_between(a, b, factor, UPPER) * theta).to(tl.float32)
    elif NORMALIZE == 0:
        threshold = _between(kth, after, factor.to(tl.float32), UPPER) * theta.to(tl.float32)
    else:
        a = _scaled(kth, offset, span, low, high).to(tl.float32)
        b = _scaled(after, offset, span, low, high).to(tl.float32)
        threshold = _between(a, b, factor.to(tl.float32), UPPER) * theta.to(tl.float32)
    if NORMALIZE == 0:
        threshold = tl.where(nan, _NAN, threshold)
    if QUANTIZE or NORMALIZE != 0:
        cutoff = _raw_cutoff(threshold, offset, span, low, high, QUANTIZE)
    else:
        cutoff = threshold
    return threshold, cutoff


@triton.jit(do_not_specialize=["h", "height", "width", "length", "tiles", "pixels", "k", "factor_bits", "theta_bits"])
def _binarize(
    rows, first, factors, packed, thresholds, extents, maps,
    h, height, width, stride, length, tiles, pixels, k, factor_bits, theta_bits,
    TAPS: tl.constexpr, NORMALIZE: tl.constexpr, QUANTIZE: tl.constexpr, UPPER: tl.constexpr, MAPS: tl.constexpr,
    Y: tl.constexpr, X: tl.constexpr,
):  # fmt: skip
    """One map: its threshold, its mask and what that keeps."""
    n = tl.program_id(0).to(tl.int64)
    rows += n * h * stride
    factor = tl.cast(factor_bits, tl.int64).to(tl.float64, bitcast=True)
    theta = tl.cast(theta_bits, tl.int64).to(tl.float64, bitcast=True)
    smallest, largest, kth, after, nan = _order_statistics(
        rows, first, factors, h - 1, length, stride, tiles, pixels, k, TAPS, Y, X
    )
    offset, span, low, high = _normalization(smallest, largest, kth, after, nan, factor, NORMALIZE, UPPER)
    threshold, cutoff = _threshold(kth, after, nan, offset, span, low, high, factor, theta, NORMALIZE, QUANTIZE, UPPER)
    tl.store(thresholds + n, threshold)

    words = stride // 32
    packed += n * height * words
    count = tl.zeros((Y, X), tl.int32)
    left = tl.full((Y, X), 1 << 30, tl.int32)
    top = tl.full((Y, X), 1 << 30, tl.int32)
    right = tl.zeros((Y, X), tl.int32)
    bottom = tl.zeros((Y, X), tl.int32)
    for tile in range(0, tiles):
        v, y, x = _pixels(rows, first, factors, h - 1, length, stride, tile, TAPS, Y, X)
        keep = v > cutoff
        bits = keep.to(tl.int32) << (x % 32)[None, :]
        to = y[:, None] * words + tile % (stride // X) * (X // 32) + tl.arange(0, X // 32)[None, :]
        # The casts are nothing where it is compiled; sums are 64 bits wide in the interpreter.
        word = tl.sum(tl.reshape(bits, (Y, X // 32, 32)), 2).to(tl.int64).to(tl.int32)
        tl.store(packed + to, word, mask=(y < height)[:, None])
        count += keep.to(tl.int32)
        left = tl.where(keep & (x[None, :] < left), x[None, :], left)
        top = tl.where(keep & (y[:, None] < top), y[:, None], top)
        right = tl.where(keep & (x[None, :] >= right), x[None, :] + 1, right)
        bottom = tl.where(keep & (y[:, None] >= bottom), y[:, None] + 1, bottom)
        if MAPS:
            at = maps + n * height * width + y[:, None] * width + x[None, :]
            inside = (y < height)[:, None] & (x < width)[None, :]
            if QUANTIZE:
                level = tl.where(v == v, _level(v, offset, span, low, high), 0)
                tl.store(at, level.to(tl.uint8), mask=inside)
            elif NORMALIZE == 0:
                tl.store(at, v, mask=inside)
            else:
                tl.store(at, _scaled(v, offset, span, low, high).to(tl.float32), mask=inside)
    kept = tl.sum(count)
    extents += n * 5
    tl.store(extents, kept)
    tl.store(extents + 1, tl.where(kept > 0, tl.min(left), 0))
    tl.store(extents + 2, tl.where(kept > 0, tl.min(top), 0))
    tl.store(extents + 3, tl.max(right))
    tl.store(extents + 4, tl.max(bottom))


# -------------------------------------------------------------------------------------------------------------- host


def binarize(
    small: Tensor,
    size: tuple[int, int],
    *,
    interpolation: str,
    normalize: str,
    quantize: bool,
    q: float,
    threshold: float,
    packed: Tensor,
    thresholds: Tensor,
    extents: Tensor,
    maps: Tensor | None,
) -> None:
    """Resize ``small`` (N, h, w) float32, contiguous, to ``size`` and write what the threshold keeps.

    ``packed`` (N, H, ceil(W / 64)) int64; ``thresholds`` (N,) float32; ``extents`` (N, 5) int32, the count of kept
    pixels and their half-open box x0, y0, x1, y1; ``maps`` (N, H, W) float32 or uint8 levels, or None.
    """
    n, h, w = small.shape
    height, width = size
    taps = 1 if (h, w) == size else 2 if interpolation == "bilinear" else 4
    stride = -(-width // 64) * 64
    block = next(x for x in (256, 128, 64) if stride % x == 0)
    lines = 4096 // block
    across, along = (_axis(*axis, taps, small.device) for axis in ((w, width), (h, height)))
    rows = small.new_empty((n, h, stride))
    k, factor, upper = rank(height * width, q)
    with on_device_of(small):
        _widen[(n * h * (stride // block),)](
            small, *across, rows, w, stride, TAPS=taps, X=block, num_warps=2, enable_fp_fusion=False
        )
        _binarize[(n,)](
            rows,
            *along,
            packed.view(torch.int32),
            thresholds,
            extents,
            maps,
            h,
            height,
            width,
            stride,
            len(along[0]),
            -(-height // lines) * (stride // block),
            height * width,
            k,
            bits_of(factor),
            bits_of(threshold),
            TAPS=taps,
            NORMALIZE=_NORMALIZE[normalize],
            QUANTIZE=quantize,
            UPPER=upper,
            MAPS=maps is not None,
            Y=lines,
            X=block,
            num_warps=8,
            enable_fp_fusion=False,
        )


def rank(count: int, q: float) -> tuple[int, float, bool]:
    """Which order statistic a percentile lies above, how far from the nearer one, and whether that is the upper."""
    virtual = (count - 1) * (q / 100)
    k = min(math.floor(virtual), count - 1)
    gamma = virtual - k
    return (k, gamma, False) if gamma < 0.5 else (k, 1 - gamma, True)


def bits_of(number: float) -> int:
    """A number as the integer with its bits: Triton would pass it as a float32."""
    return int(struct.unpack("<q", struct.pack("<d", number))[0])


# Kept for good, since a captured graph reads them again: a few kilobytes for every pair of sizes.
@functools.cache
def _axis(n: int, length: int, taps: int, device: torch.device) -> tuple[Tensor, Tensor]:
    first, factors = axis(n, length, taps)
    return torch.from_numpy(first).to(device), torch.from_numpy(factors).to(device)


def axis(n: int, length: int, taps: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The first input position of each output position, and its factors (taps or 1, length); as the reference's.

    Padded to a multiple of 64 with factors of NaN, and, since what is read with them is thrown away, position 0.
    """
    padded = -(-length // 64) * 64
    source = (np.arange(length) + 0.5) * n / length - 0.5
    if taps == 2:
        source = source.clip(0, n - 1)
    floor = np.floor(source)
    t = source - floor
    first = np.zeros(padded, np.int32)
    factors = np.full((4 if taps == 4 else 1, padded), np.nan, np.float32)
    first[:length] = floor
    factors[:, :length] = np.stack(_cubic_weights(t)) if taps == 4 else t if taps == 2 else 1
    return first, factors


def _cubic_weights(t: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    a = -0.75

    def near(d: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return far(t + 1), near(t), near(1 - t), far(2 - t)
