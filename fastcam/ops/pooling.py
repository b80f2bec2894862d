"""The operators of thresholded average pooling (Eq. 4); their derivatives are in ``pooling_derivatives``.

``fastcam::tap`` gives the pooled values alone. With a gradient to come there are two pairs: ``tap_forward`` keeps the
cutoff and the count of every channel, by which ``tap_backward`` reads the input a second time; ``tap_keeping`` keeps a
bit for every value, from which ``tap_spread`` writes the gradient without the input. The first is for the CPU, the
second for CUDA, where it moves about two thirds of the bytes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastcam import reference
from fastcam.ops.core import DTYPES, core
from fastcam.ops.gpu import kernels_run_on
from fastcam.ops.pooling_arguments import check_gradient, check_kept, check_planes
from fastcam.ops.tags import TAGS

__all__ = [
    "backward_cpu",
    "forward_cpu",
    "is_interleaved",
    "tap",
    "tap_backward",
    "tap_cpu",
    "tap_forward",
    "tap_keeping",
    "tap_spread",
]

_library = torch.library.Library("fastcam", "FRAGMENT")
_library.define("tap(Tensor x, float threshold) -> Tensor", tags=TAGS)
_library.define("tap_keeping(Tensor x, float threshold) -> (Tensor, Tensor, Tensor)", tags=TAGS)
_library.define(
    "tap_spread(Tensor grad, Tensor divisor, Tensor kept, SymInt height, SymInt width, bool channels_last) -> Tensor",
    tags=TAGS,
)
_library.define("tap_forward(Tensor x, float threshold) -> (Tensor, Tensor, Tensor)", tags=TAGS)
_library.define("tap_backward(Tensor grad, Tensor x, Tensor cutoff, Tensor count) -> Tensor", tags=TAGS)


def _forward_empty(x: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG001
    check_planes(x)
    shape = x.shape[:2]
    work = torch.float64 if x.dtype == torch.float64 else torch.float32
    return x.new_empty(shape), x.new_empty(shape, dtype=work), x.new_empty(shape, dtype=torch.int32)


def _pooled_empty(x: Tensor, threshold: float) -> Tensor:  # noqa: ARG001
    check_planes(x)
    return x.new_empty(x.shape[:2])


def _keeping_empty(x: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG001
    check_planes(x)
    shape = x.shape[:2]
    work = torch.float64 if x.dtype == torch.float64 else torch.float32
    kept = x.new_empty(reference.pooling.shape_of_kept(x), dtype=torch.uint8)
    return x.new_empty(shape), x.new_empty(shape, dtype=work), kept


def _spread_empty(grad: Tensor, divisor: Tensor, kept: Tensor, height: int, width: int, channels_last: bool) -> Tensor:
    check_kept(grad, divisor, kept, height, width, channels_last)
    form = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty((*grad.shape, height, width), dtype=grad.dtype, device=grad.device, memory_format=form)


@torch.library.register_fake("fastcam::tap_backward")
def _backward_fake(grad: Tensor, x: Tensor, cutoff: Tensor, count: Tensor) -> Tensor:
    check_gradient(grad, x, cutoff, count)
    return torch.empty_like(x)


def _planes(x: Tensor) -> tuple[Tensor, bool] | None:
    """The tensor as planes one after the other, or interleaved (True); None where its memory is neither."""
    if x.is_contiguous():
        return x, False
    if x.is_contiguous(memory_format=torch.channels_last):
        return x, True
    return None


def is_interleaved(x: Tensor) -> bool:
    """Whether channels lie side by side in memory and planes are not one after the other: channels_last."""
    return (_planes(x) or (x, False))[1]


def _pool(x: Tensor, threshold: float, cutoff: int = 0, count: int = 0) -> Tensor:
    """Pool by the compiled core, which writes the cutoffs and counts to two addresses if they are given."""
    check_planes(x)
    n, c, h, w = x.shape
    pooled = torch.empty((n, c), dtype=x.dtype)
    planes, interleaved = (x, False) if x.is_contiguous() else _planes(x) or (x.contiguous(), False)
    address, dtype, threads = planes.data_ptr(), DTYPES[x.dtype], torch.get_num_threads()
    core.tap_forward(address, dtype, interleaved, n, c, h * w, threshold, pooled.data_ptr(), cutoff, count, threads)
    return pooled


def tap_cpu(x: Tensor, threshold: float) -> Tensor:
    """``tap`` by the compiled core."""
    return _pool(x, threshold)


def forward_cpu(x: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """``tap_forward`` by the compiled core."""
    shape = x.shape[:2]
    cutoff = torch.empty(shape, dtype=torch.float64 if x.dtype == torch.float64 else torch.float32)
    count = torch.empty(shape, dtype=torch.int32)
    return _pool(x, threshold, cutoff.data_ptr(), count.data_ptr()), cutoff, count


def backward_cpu(grad: Tensor, x: Tensor, cutoff: Tensor, count: Tensor) -> Tensor:
    """``tap_backward`` by the compiled core."""
    check_gradient(grad, x, cutoff, count)
    dx = torch.empty_like(x)
    planes = _planes(x)
    if planes is None or dx.stride() != x.stride():
        return dx.copy_(backward_cpu(grad, x.contiguous(), cutoff, count))
    # Bound to names: the core reads them by address, so they must live until the call returns.
    grad, cutoff, count = grad.contiguous(), cutoff.contiguous(), count.contiguous()
    core.tap_backward(
        grad.data_ptr(),
        x.data_ptr(),
        DTYPES[x.dtype],
        planes[1],
        *_dimensions(x),
        cutoff.data_ptr(),
        count.data_ptr(),
        dx.data_ptr(),
        torch.get_num_threads(),
    )
    return dx


def _any_device(x: Tensor, threshold: float) -> Tensor:
    check_planes(x)
    return reference.pooling.tap_forward(x, threshold)[0]


def _forward_any_device(x: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    check_planes(x)
    return reference.pooling.tap_forward(x, threshold)


def _backward_any_device(grad: Tensor, x: Tensor, cutoff: Tensor, count: Tensor) -> Tensor:
    check_gradient(grad, x, cutoff, count)
    return reference.pooling.tap_backward(grad, x, cutoff, count)


def _keeping_any_device(x: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    check_planes(x)
    return reference.pooling.tap_keeping(x, threshold)


def _spread_any_device(
    grad: Tensor, divisor: Tensor, kept: Tensor, height: int, width: int, channels_last: bool
) -> Tensor:
    check_kept(grad, divisor, kept, height, width, channels_last)
    return reference.pooling.tap_spread(grad, divisor, kept, height, width, channels_last)


def _cuda(x: Tensor, threshold: float) -> Tensor:
    if not _has_kernel(x):
        return _any_device(x, threshold)
    from fastcam.kernels import pooling as kernel

    pooled = _pooled_empty(x, threshold)
    kernel.forward((_planes(x) or (x.contiguous(), False))[0], threshold, pooled)
    return pooled


def _keeping_cuda(x: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    if not _has_kernel(x):
        return _keeping_any_device(x, threshold)
    from fastcam.kernels import pooling as kernel

    out = pooled, divisor, kept = _keeping_empty(x, threshold)
    kernel.forward((_planes(x) or (x.contiguous(), False))[0], threshold, pooled, divisor, kept)
    return out


def _spread_cuda(grad: Tensor, divisor: Tensor, kept: Tensor, height: int, width: int, channels_last: bool) -> Tensor:
    if not _has_kernel(grad):
        return _spread_any_device(grad, divisor, kept, height, width, channels_last)
    from fastcam.kernels import pooling as kernel

    dx = _spread_empty(grad, divisor, kept, height, width, channels_last)
    kernel.backward(grad.contiguous(), divisor.contiguous(), kept.contiguous(), dx)
    return dx


def _has_kernel(x: Tensor) -> bool:
    return x.dtype != torch.float64 and x.numel() > 0 and kernels_run_on(x.device)


def _dimensions(x: Tensor) -> tuple[int, int, int]:
    n, c, h, w = x.shape
    return n, c, h * w


torch.library.register_fake("fastcam::tap", _pooled_empty)
torch.library.register_fake("fastcam::tap_forward", _forward_empty)
torch.library.register_fake("fastcam::tap_keeping", _keeping_empty)
torch.library.register_fake("fastcam::tap_spread", _spread_empty)
_library.impl("tap", _any_device, "CompositeExplicitAutograd")
_library.impl("tap_forward", _forward_any_device, "CompositeExplicitAutograd")
_library.impl("tap_backward", _backward_any_device, "CompositeExplicitAutograd")
_library.impl("tap_keeping", _keeping_any_device, "CompositeExplicitAutograd")
_library.impl("tap_spread", _spread_any_device, "CompositeExplicitAutograd")
_library.impl("tap", _cuda, "CUDA")
_library.impl("tap_keeping", _keeping_cuda, "CUDA")
_library.impl("tap_spread", _spread_cuda, "CUDA")
if core is not None:
    _library.impl("tap", tap_cpu, "CPU")
    _library.impl("tap_forward", forward_cpu, "CPU")
    _library.impl("tap_backward", backward_cpu, "CPU")
tap = torch.ops.fastcam.tap.default
tap_forward = torch.ops.fastcam.tap_forward.default
tap_backward = torch.ops.fastcam.tap_backward.default
tap_keeping = torch.ops.fastcam.tap_keeping.default
tap_spread = torch.ops.fastcam.tap_spread.default
