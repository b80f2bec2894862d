"""How PyTorch differentiates, batches and decomposes the operators of thresholded average pooling.

What is registered here belongs to the operators, so it holds wherever PyTorch meets them: in eager code, in compiled,
exported and traced programs, under ``torch.func``. The plain gradient has operators of its own. In every other case
(forward mode, a second derivative, a transform of ``torch.func``) the definition in PyTorch's operations takes their
place, which PyTorch differentiates by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from fastcam import reference
from fastcam.ops import pooling as ops
from fastcam.ops.arguments import check_dense
from fastcam.ops.core import core

__all__ = ["decompositions"]

_library = torch.library.Library("fastcam", "FRAGMENT")
_Keys = torch._C.DispatchKeySet
_BELOW = torch._C._after_autograd_keyset
_TORCH_FUNC = torch._C.DispatchKey.FuncTorchDynamicLayerBackMode
# The keys of tensors in the CPU's memory where nothing watches, wraps or traces them. The compiled core is then called
# at once: dispatching a second time would take as long as pooling a small batch.
_PLAIN = (
    (_Keys(torch._C.DispatchKey.CPU) | _Keys(torch._C.DispatchKey.AutogradCPU)).raw_repr() if core is not None else -1
)


def _has_tangent(x: Tensor, keyset: Any) -> bool:  # noqa: ANN401
    if forward_ad._current_level < 0 and (keyset.raw_repr() == _PLAIN or not keyset.has(_TORCH_FUNC)):
        return False
    return torch._VF._unpack_dual(x, level=0)[1] is not None


def _redispatch(operator: Any, keyset: Any, *args: Any) -> Any:  # noqa: ANN401
    with torch._C._AutoDispatchBelowAutograd():
        return operator.redispatch(keyset & _BELOW, *args)


class _ByValues(torch.autograd.Function):
    """The gradient of ``tap`` from the input itself, with its cutoffs and counts."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: float, keyset: Any) -> Tensor:  # noqa: ANN401
        if keyset.raw_repr() == _PLAIN:
            pooled, cutoff, count = ops.forward_cpu(x, threshold)
        else:
            pooled, cutoff, count = _redispatch(ops.tap_forward, keyset, x, threshold)
        ctx.save_for_backward(x, cutoff, count)
        return pooled

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        return ops.tap_backward(grad, *ctx.saved_tensors), None, None


class _ByBits(torch.autograd.Function):
    """The gradient of ``tap`` from a bit for every value, on CUDA."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: float, keyset: Any) -> Tensor:  # noqa: ANN401
        pooled, divisor, kept = _redispatch(ops.tap_keeping, keyset, x, threshold)
        ctx.save_for_backward(divisor, kept)
        ctx.shape = x.shape[2], x.shape[3], ops.is_interleaved(x)
        return pooled  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        return ops.tap_spread(grad, *ctx.saved_tensors, *ctx.shape), None, None


# Without what torch.autograd.Function does for torch.func, which does not come here.
_by_values, _by_bits = (super(torch.autograd.Function, way).apply for way in (_ByValues, _ByBits))  # type: ignore[misc]


def _tap(keyset: Any, x: Tensor, threshold: float) -> Tensor:  # noqa: ANN401
    check_dense("x", x)
    with_gradient = x.requires_grad and torch.is_grad_enabled()
    if keyset.raw_repr() == _PLAIN and forward_ad._current_level < 0:  # what follows, in less time
        return _by_values(x, threshold, keyset) if with_gradient else ops.tap_cpu(x, threshold)
    if _has_tangent(x, keyset) or (with_gradient and keyset.has(_TORCH_FUNC)):
        return reference.pooling.tap_forward(x, threshold)[0]
    if with_gradient:
        return (_by_bits if x.is_cuda else _by_values)(x, threshold, keyset)  # type: ignore[no-any-return]
    return _redispatch(ops.tap, keyset, x, threshold)  # type: ignore[no-any-return]


def _composed(operator: Any, definition: Callable[..., Any], plain: Callable[..., Any] | None) -> Callable[..., Any]:  # noqa: ANN401
    """The operator, or its definition in PyTorch's operations where its first argument is differentiated.

    No other argument is: it enters comparisons only, or was computed by them.
    """

    def kernel(keyset: Any, first: Tensor, *rest: Any) -> Any:  # noqa: ANN401
        check_dense("the first argument", first)
        if (first.requires_grad and torch.is_grad_enabled()) or _has_tangent(first, keyset):
            out = definition(first, *rest)
            return out if isinstance(out, Tensor) else (out[0], *(part.detach() for part in out[1:]))
        if plain is not None and keyset.raw_repr() == _PLAIN:
            return plain(first, *rest)
        return _redispatch(operator, keyset, first, *rest)

    return kernel


def _batched(operator: Any) -> Callable[..., Any]:  # noqa: ANN401
    """The operator under ``torch.vmap``: what is batched joins the images and parts from them again."""

    def joined(part: Tensor, dim: int | None, size: int) -> Tensor:
        whole = part.expand(size, *part.shape) if dim is None else part.movedim(dim, 0)
        return whole.flatten(0, 1)

    def rule(info: Any, in_dims: Sequence[int | None], *args: Any) -> Any:  # noqa: ANN401
        size = info.batch_size
        pairs = zip(args, in_dims, strict=True)
        joint = [joined(part, dim, size) if isinstance(part, Tensor) else part for part, dim in pairs]
        images = joint[0].shape[0] // size
        out = operator(*joint)
        if isinstance(out, Tensor):
            return out.unflatten(0, (size, images)), 0
        return tuple(part.unflatten(0, (size, images)) for part in out), (0,) * len(out)

    return rule


def _register() -> None:
    definitions: dict[Any, tuple[Callable[..., Any], Callable[..., Any] | None]] = {
        ops.tap_forward: (reference.pooling.tap_forward, ops.forward_cpu),
        ops.tap_backward: (reference.pooling.tap_backward, ops.backward_cpu),
        ops.tap_keeping: (reference.pooling.tap_keeping, None),
        ops.tap_spread: (reference.pooling.tap_spread, None),
    }
    _library.impl("tap", _tap, "Autograd", with_keyset=True)
    for operator, (definition, plain) in definitions.items():
        kernel = _composed(operator, definition, plain)
        _library.impl(operator._schema.name.split("::")[1], kernel, "Autograd", with_keyset=True)
    # Not tap_keeping, whose bits lie as the memory of what it is given: its gradient stands above any batch.
    for operator in (ops.tap, ops.tap_forward, ops.tap_backward, ops.tap_spread):
        torch.library.register_vmap(operator._schema.name, _batched(operator), lib=_library)
    # The one table that the exporter of ONNX reads by itself.
    torch._decomp.decomposition_table.update(decompositions())


def decompositions() -> dict[Any, Callable[..., Any]]:
    """Return the operators that a program holds after export, each with its definition in PyTorch's operations.

    A program decomposed by them runs where fastcam is not imported, saved by ``torch.export.save`` or compiled ahead
    of time by ``torch._inductor.aoti_compile_and_package``. ``torch.onnx.export(..., dynamo=True)`` needs no help.

    Example:
        >>> import torch, fastcam
        >>> table = fastcam.pooling.decompositions()  # for torch.export.export(model, inputs).run_decompositions(table)
        >>> table[torch.ops.fastcam.tap.default](torch.tensor([[[[-1.0, 2.0], [0.5, 0.1]]]]), 0.1)
        tensor([[1.2500]])
    """
    return {ops.tap: lambda x, threshold: reference.pooling.tap_forward(x, threshold)[0]} | {
        ops.tap_forward: reference.pooling.tap_forward,
        ops.tap_backward: reference.pooling.tap_backward,
        ops.tap_keeping: reference.pooling.tap_keeping,
        ops.tap_spread: reference.pooling.tap_spread,
    }


_register()
