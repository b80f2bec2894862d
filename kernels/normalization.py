"""Normalizing a value: ``clamp((x - offset) / span)`` in float64, with numbers that each map has its own of.

Every normalization, and the step to levels, is a function that never decreases. So the order statistics of the
normalized map are the normalized order statistics, and its mask is a comparison of the raw values with a cutoff.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["level", "normalization", "scaled"]

_INFINITY = tl.constexpr(float("inf"))


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
def normalization(smallest, largest, reference, nan, NORMALIZE: tl.constexpr):
    """Offset, span and bounds of ``clamp((x - offset) / span)``, in float64; all zero where that is undefined."""
    offset = smallest.to(tl.float64)
    span = tl.cast(1, tl.float64)
    low = tl.cast(-_INFINITY, tl.float64)
    high = tl.cast(_INFINITY, tl.float64)
    if NORMALIZE == "none":
        offset = tl.cast(0, tl.float64)
    else:
        if NORMALIZE == "minmax":
            span = largest.to(tl.float64) - offset
        else:
            offset = tl.cast(0, tl.float64)
            low = tl.cast(0, tl.float64)
            if NORMALIZE == "max":
                span = largest.to(tl.float64)
            else:
                span = reference.to(tl.float64)
                high = tl.cast(1, tl.float64)
        defined = (span > 0) & (smallest > -_INFINITY) & (largest < _INFINITY) & (nan == 0)
        offset = tl.where(defined, offset, 0.0)
        span = tl.where(defined, span, 1.0)
        low = tl.where(defined, low, 0.0)
        high = tl.where(defined, high, 0.0)
    return offset, span, low, high
