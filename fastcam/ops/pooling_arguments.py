"""What the pooling operators refuse, as ``arguments`` does for the others."""

from __future__ import annotations

from torch import Tensor, float32, float64, int32, uint8

from fastcam.ops.arguments import check_dense
from fastcam.ops.core import DTYPES
from fastcam.reference.pooling import eighth_of
from fastcam.sizes import fits, limits

__all__ = ["check_gradient", "check_kept", "check_planes"]


def check_planes(x: Tensor) -> None:
    """Check features (N, C, H, W) of at least one position."""
    check_dense("x", x)
    if x.dtype not in DTYPES:
        raise TypeError(f"x must be float16, bfloat16, float32 or float64, got {x.dtype}")
    if x.dim() != 4 or 0 in x.shape[2:]:
        raise ValueError(f"x must be (N, C, H, W) with H and W at least 1, got shape {tuple(x.shape)}")
    if not fits(x.shape[2], x.shape[3]):
        raise ValueError(f"x must have H and W {limits()}, got shape {tuple(x.shape)}")


def check_gradient(grad: Tensor, x: Tensor, cutoff: Tensor, count: Tensor) -> None:
    """Check what ``tap_backward`` reads: a number for every plane of x."""
    check_planes(x)
    work = float64 if x.dtype == float64 else float32
    for name, tensor, dtype in (("grad", grad, x.dtype), ("cutoff", cutoff, work), ("count", count, int32)):
        _check_numbers(name, tensor, dtype, x.shape[:2], x)


def check_kept(grad: Tensor, divisor: Tensor, kept: Tensor, height: int, width: int, channels_last: bool) -> None:
    """Check what ``tap_spread`` reads: two numbers and the bits of every plane."""
    check_dense("grad", grad)
    if grad.dim() != 2 or grad.dtype not in DTYPES:
        raise ValueError(f"grad must be (N, C) of a floating-point dtype, got {grad.dtype} of {tuple(grad.shape)}")
    if not fits(height, width):
        raise ValueError(f"height and width must be {limits()}, got {(height, width)}")
    n, c = grad.shape
    eighth = eighth_of(height * width)
    work = float64 if grad.dtype == float64 else float32
    _check_numbers("divisor", divisor, work, (n, c), grad)
    # A single channel, or a single position, is contiguous either way.
    interleaved = channels_last and c > 1 and height * width > 1
    _check_numbers("kept", kept, uint8, (n, eighth, c) if interleaved else (n, c, eighth), grad)


def _check_numbers(name: str, tensor: Tensor, dtype: object, shape: tuple[int, ...], like: Tensor) -> None:
    check_dense(name, tensor)
    if tensor.dtype != dtype or tensor.device != like.device:
        raise TypeError(f"{name} must be {dtype} on {like.device}, got {tensor.dtype} on {tensor.device}")
    if tuple(tensor.shape) != tuple(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {tuple(tensor.shape)}")
