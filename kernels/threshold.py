"""From order statistics to the threshold (Eq. 3, 6), and to the raw value that stands for it.

Every normalization, and the step to levels, is a function that never decreases: the normalized order statistics are
those of the normalized, and the mask is a comparison of the raw value with a cutoff.
"""

from __future__ import annotations

import triton
import triton.language as tl
from fastcam.kernels.selection import halfway, key_of, of_key, order_statistics

__all__ = ["level", "scaled", "select"]

_INFINITY = tl.constexpr(float("inf"))
_NAN = tl.constexpr(float("nan"))


@triton.jit
def scaled(x, offset, span, low, high):
    """The normalized value, in float64."""
    value = (x.to(tl.float64) - offset) / span
    value = tl.where(value > low, value, low)  # low for a NaN
    return tl.where(value < high, value, high)


@triton.jit
def level(x, offset, span, low, high):
    """The normalized value as one of 256 levels, truncated."""
    value = scaled(x, offset, span, low, high)
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
        return level(of_key(key), offset, span, low, high).to(tl.float32) > threshold
    else:
        return scaled(of_key(key), offset, span, low, high).to(tl.float32) > threshold


@triton.jit
def _raw_cutoff(threshold, offset, span, low, high, QUANTIZE: tl.constexpr):
    """The largest raw value whose normalized one does not exceed the threshold."""
    below = key_of(tl.cast(-_INFINITY, tl.float32))
    above = key_of(tl.cast(_INFINITY, tl.float32))
    if _exceeds(above, threshold, offset, span, low, high, QUANTIZE):
        while below + 1 < above:
            middle = halfway(below, above)
            over = _exceeds(middle, threshold, offset, span, low, high, QUANTIZE)
            above = tl.where(over, middle, above)
            below = tl.where(over, below, middle)
    else:
        below = above
    return of_key(below)


@triton.jit
def _threshold(
    kth, after, nan, offset, span, low, high, factor, theta,
    NORMALIZE: tl.constexpr, QUANTIZE: tl.constexpr, UPPER: tl.constexpr,
):  # fmt: skip
    """The threshold in the units of the normalized map, and the raw value that it stands for."""
    if QUANTIZE:
        a = level(kth, offset, span, low, high).to(tl.float64)
        b = level(after, offset, span, low, high).to(tl.float64)
        threshold = tl.floor(_between(a, b, factor, UPPER) * theta).to(tl.float32)
    elif NORMALIZE == 0:
        threshold = _between(kth, after, factor.to(tl.float32), UPPER) * theta.to(tl.float32)
    else:
        a = scaled(kth, offset, span, low, high).to(tl.float32)
        b = scaled(after, offset, span, low, high).to(tl.float32)
        threshold = _between(a, b, factor.to(tl.float32), UPPER) * theta.to(tl.float32)
    if NORMALIZE == 0:
        threshold = tl.where(nan, _NAN, threshold)
    if QUANTIZE or NORMALIZE != 0:
        cutoff = _raw_cutoff(threshold, offset, span, low, high, QUANTIZE)
    else:
        cutoff = threshold
    return threshold, cutoff


@triton.jit(do_not_specialize=["h", "length", "tiles", "pixels", "k", "factor_bits", "theta_bits"])
def select(
    rows, first, factors, thresholds, cutoffs, normals, h, stride, length, tiles, pixels, k, factor_bits, theta_bits,
    TAPS: tl.constexpr, STEPS: tl.constexpr, NORMALIZE: tl.constexpr, QUANTIZE: tl.constexpr, UPPER: tl.constexpr,
    R: tl.constexpr, Y: tl.constexpr, X: tl.constexpr,
):  # fmt: skip
    """One map: its threshold, the raw value it stands for, and its normalization."""
    n = tl.program_id(0).to(tl.int64)
    factor = tl.cast(factor_bits, tl.int64).to(tl.float64, bitcast=True)
    theta = tl.cast(theta_bits, tl.int64).to(tl.float64, bitcast=True)
    smallest, largest, kth, after, nan = order_statistics(
        rows + n * h * stride, first, factors, h - 1, length, stride, tiles, pixels, k, TAPS, STEPS, R, Y, X
    )
    offset, span, low, high = _normalization(smallest, largest, kth, after, nan, factor, NORMALIZE, UPPER)
    threshold, cutoff = _threshold(kth, after, nan, offset, span, low, high, factor, theta, NORMALIZE, QUANTIZE, UPPER)
    tl.store(thresholds + n, threshold)
    tl.store(cutoffs + n, cutoff)
    tl.store(normals + n * 4, offset)
    tl.store(normals + n * 4 + 1, span)
    tl.store(normals + n * 4 + 2, low)
    tl.store(normals + n * 4 + 3, high)
