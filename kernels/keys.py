"""Floats as integers of the same order, which halving an interval needs."""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["halfway", "key_of", "of_key"]

_MAGNITUDE = tl.constexpr(0x7FFFFFFF)


@triton.jit
def key_of(x):
    """Integers in the order of floats; both zeros have the key 0."""
    bits = x.to(tl.int32, bitcast=True)
    return tl.where(bits < 0, -(bits & _MAGNITUDE), bits)


@triton.jit
def of_key(key):
    """The float of :func:`key_of`."""
    magnitude = tl.where(key < 0, -key, key).to(tl.float32, bitcast=True)
    return tl.where(key < 0, -magnitude, magnitude)


@triton.jit
def halfway(a, b):
    """The key in the middle, rounded down."""
    return ((a.to(tl.int64) + b.to(tl.int64)) >> 1).to(tl.int32)
