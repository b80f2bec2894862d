"""``fastcam::tap_forward`` and ``fastcam::tap_backward`` (Eq. 4), and the autograd function over them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastcam import reference

__all__ = ["TapFunction", "tap_forward"]

_library = torch.library.Library("fastcam", "FRAGMENT")
_tags = (torch.Tag.pt2_compliant_tag,)
_library.define("tap_forward(Tensor x, float threshold) -> (Tensor, Tensor, Tensor)", tags=_tags)
_library.define("tap_backward(Tensor grad, Tensor x, Tensor cutoff, Tensor count) -> Tensor", tags=_tags)
_library.impl("tap_forward", reference.pooling.tap_forward, "CompositeExplicitAutograd")
_library.impl("tap_backward", reference.pooling.tap_backward, "CompositeExplicitAutograd")


@torch.library.register_fake("fastcam::tap_forward")
def _(x: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG001
    pooled = x.new_empty(x.shape[:2])
    work = torch.float64 if x.dtype == torch.float64 else torch.float32
    return pooled, torch.empty_like(pooled, dtype=work), torch.empty_like(pooled, dtype=torch.int32)


@torch.library.register_fake("fastcam::tap_backward")
def _(grad: Tensor, x: Tensor, cutoff: Tensor, count: Tensor) -> Tensor:  # noqa: ARG001
    return torch.empty_like(x)


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
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        """Spread the gradient evenly over the kept values."""
        return _tap_backward(grad, *ctx.saved_tensors), None
