"""From the order statistics of a map to its threshold (Eq. 3, 6), and the raw value that the threshold stands for."""

from __future__ import annotations

import triton
import triton.language as tl
from fastcam.kernels.keys import halfway, key_of, of_key
from fastcam.kernels.normalization import level, normalization, scaled

__all__ = ["write_threshold"]

_INFINITY = tl.constexpr(float("inf"))
_NAN = tl.constexpr(float("nan"))


@triton.jit
def _between(a, b, factor, UPPER: tl.constexpr):
    """NumPy's percentile between the two order statistics: from below, or from above where that is nearer."""
    step = (b - a) * factor
    return b - step if UPPER else a + step


@triton.jit
def _exceeds(key, threshold, offset, span, low, high, QUANTIZE: tl.constexpr):
    x = of_key(key)
    value = level(x, offset, span, low, high) if QUANTIZE else scaled(x, offset, span, low, high)
    return value.to(tl.float32) > threshold


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
    elif NORMALIZE == "none":
        threshold = _between(kth, after, factor.to(tl.float32), UPPER) * theta.to(tl.float32)
    else:
        a = scaled(kth, offset, span, low, high).to(tl.float32)
        b = scaled(after, offset, span, low, high).to(tl.float32)
        threshold = _between(a, b, factor.to(tl.float32), UPPER) * theta.to(tl.float32)
    if NORMALIZE == "none":
        threshold = tl.where(nan, _NAN, threshold)
    if QUANTIZE or NORMALIZE != "none":
        cutoff = _raw_cutoff(threshold, offset, span, low, high, QUANTIZE)
    else:
        cutoff = threshold
    return threshold, cutoff


@triton.jit
def write_threshold(
    n, smallest, largest, kth, after, nan, thresholds, cutoffs, normals, factor_bits, theta_bits,
    NORMALIZE: tl.constexpr, QUANTIZE: tl.constexpr, UPPER: tl.constexpr,
):  # fmt: skip
    """Write map n's threshold, the raw value it stands for (its cutoff), and its normalization."""
    factor = tl.cast(factor_bits, tl.int64).to(tl.float64, bitcast=True)
    theta = tl.cast(theta_bits, tl.int64).to(tl.float64, bitcast=True)
    reference = _between(kth, after, factor.to(tl.float32), UPPER)
    offset, span, low, high = normalization(smallest, largest, reference, nan, NORMALIZE)
    threshold, cutoff = _threshold(kth, after, nan, offset, span, low, high, factor, theta, NORMALIZE, QUANTIZE, UPPER)
    tl.store(thresholds + n, threshold)
    tl.store(cutoffs + n, cutoff)
    tl.store(normals + n * 4, offset)
    tl.store(normals + n * 4 + 1, span)
    tl.store(normals + n * 4 + 2, low)
    tl.store(normals + n * 4 + 3, high)
