"""``fastcam::tap_forward`` and ``fastcam::tap_backward`` (Eq. 4), and the autograd function over them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastcam import reference
from fastcam.ops.core import DTYPES, core

__all__ = ["TapFunction", "tap_forward"]

_library = torch.library.Library("fastcam", "FRAGMENT")
_tags = (torch.Tag.pt2_compliant_tag,)
_library.define("tap_forward(Tensor x, float threshold) -> (Tensor, Tensor, Tensor)", tags=_tags)
_library.define("tap_backward(Tensor grad, Tensor x, Tensor cutoff, Tensor count) -> Tensor", tags=_tags)
_library.impl("tap_forward", reference.pooling.tap_forward, "CompositeExplicitAutograd")
_library.impl("tap_backward", reference.pooling.tap_backward, "CompositeExplicitAutograd")


def _forward_empty(x: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG001
    shape = x.shape[:2]
    work = torch.float64 if x.dtype == torch.float64 else torch.float32
    return x.new_empty(shape), x.new_empty(shape, dtype=work), x.new_empty(shape, dtype=torch.int32)


@torch.library.register_fake("fastcam::tap_backward")
def _backward_fake(grad: Tensor, x: Tensor, cutoff: Tensor, count: Tensor) -> Tensor:  # noqa: ARG001
    return torch.empty_like(x)


def _planes(x: Tensor) -> tuple[Tensor, bool] | None:
    """The tensor as planes one after the other, or interleaved (True); None where its memory is neither."""
    if x.is_contiguous():
        return x, False
    if x.is_contiguous(memory_format=torch.channels_last):
        return x, True
    return None


def _forward_cpu(x: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    out = pooled, cutoff, count = _forward_empty(x, threshold)
    planes, interleaved = _planes(x) or (x.contiguous(), False)
    core.tap_forward(
        planes.data_ptr(),
        DTYPES[x.dtype],
        interleaved,
        *_extent(x),
        threshold,
        pooled.data_ptr(),
        cutoff.data_ptr(),
        count.data_ptr(),
        torch.get_num_threads(),
    )
    return out


def _backward_cpu(grad: Tensor, x: Tensor, cutoff: Tensor, count: Tensor) -> Tensor:
    dx = torch.empty_like(x)
    planes = _planes(x)
    if planes is None or dx.stride() != x.stride():
        return dx.copy_(_backward_cpu(grad, x.contiguous(), cutoff, count))
    # Named, so that what is read by address lives until the call returns.
    grad, cutoff, count = grad.contiguous(), cutoff.contiguous(), count.contiguous()
    core.tap_backward(
        grad.data_ptr(),
        x.data_ptr(),
        DTYPES[x.dtype],
        planes[1],
        *_extent(x),
        cutoff.data_ptr(),
        count.data_ptr(),
        dx.data_ptr(),
        torch.get_num_threads(),
    )
    return dx


def _extent(x: Tensor) -> tuple[int, int, int]:
    n, c, h, w = x.shape
    return n, c, h * w


torch.library.register_fake("fastcam::tap_forward", _forward_empty)
if core is not None:
    _library.impl("tap_forward", _forward_cpu, "CPU")
    _library.impl("tap_backward", _backward_cpu, "CPU")
tap_forward = torch.ops.fastcam.tap_forward.default
_tap_backward = torch.ops.fastcam.tap_backward.default


class TapFunction(torch.autograd.Function):
    """Differentiable :func:`tap_forward`, giving the pooled values alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: float) -> Tensor:  # noqa: ANN401
        """Pool, and keep what the gradient needs: the input, and the cutoff and count of every channel."""
        pooled, cutoff, count = tap_forward(x, threshold)
        ctx.save_for_backward(x, cutoff, count)
        return pooled  # type: ignore[no-any-return]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        """Spread the gradient evenly over the kept values."""
        return _tap_backward(grad, *ctx.saved_tensors), None
