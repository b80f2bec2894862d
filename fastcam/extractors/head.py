"""The last layer of a classifier, whatever it is wrapped in: its weight and bias."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["head_bias", "head_layer", "head_weight", "is_quantized", "is_sharded"]


def head_layer(module: nn.Module) -> nn.Module:
    """Return what a layer is without the wrappers of DataParallel, DistributedDataParallel, FSDP and torch.compile.

    Example:
        >>> head_layer(nn.DataParallel(nn.Linear(8, 3)))
        Linear(in_features=8, out_features=3, bias=True)
    """
    while True:
        if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)) or is_sharded(module):
            inner: Any = module.module
        else:
            inner = getattr(module, "_orig_mod", None)
        if not isinstance(inner, nn.Module):
            return module
        module = inner


def is_sharded(module: nn.Module) -> bool:
    """Whether a module is FSDP's first wrapper, which keeps the parameters inside flattened between its calls."""
    # By name: the import takes a second, and who has such a module has imported it.
    return any(kind.__name__ == "FullyShardedDataParallel" for kind in type(module).__mro__)


def is_quantized(module: nn.Module) -> bool:
    """Whether a layer computes with 8 bits or fewer, so that its output is that of its weight only roughly."""
    weight = getattr(head_layer(module), "weight", None)
    return _is_packed(weight) if isinstance(weight, Tensor) else callable(weight)


def head_weight(module: nn.Module, name: str) -> Tensor:
    """Return the (K, C) weight of a linear layer or a 1x1 convolution, whatever number of axes that has.

    Args:
        module: the last layer of a classifier, wrapped or not.
        name: its name in the model, for the message.

    Returns:
        The layer's own weight as (K, C), without a copy; of a quantized layer the dequantized one.

    Raises:
        ValueError: the module has no weight of shape (K, C) or (K, C, 1, 1).

    Example:
        >>> from torch import nn
        >>> head_weight(nn.Conv2d(8, 3, 1), "head").shape
        torch.Size([3, 8])
    """
    layer = head_layer(module)
    weight = _values(getattr(layer, "weight", None))
    if weight is not None and weight.dim() >= 2 and weight.shape[2:].numel() == 1:
        return weight.flatten(1)
    shape = f"a weight of shape {tuple(weight.shape)}" if weight is not None else "no weight"
    inside = [f"{name}.{child}" for child, part in module.named_modules() if child and isinstance(part, nn.Linear)]
    hint = f"; did you mean {' or '.join(map(repr, inside[-3:]))}?" if inside else ""
    raise ValueError(
        f"classifier={name!r} must name a linear layer or a 1x1 convolution, "
        f"got {type(layer).__name__} with {shape}{hint}"
    )


def head_bias(module: nn.Module) -> Tensor | None:
    """Return the (K,) bias of the last layer, or None."""
    return _values(getattr(head_layer(module), "bias", None))


def _values(part: Any) -> Tensor | None:  # noqa: ANN401
    """A parameter as plain numbers: quantized layers have a method in its place, torchao a tensor of its own kind."""
    if callable(part) and not isinstance(part, (Tensor, nn.Module)):
        part = part()
    if not isinstance(part, Tensor):
        return None
    tensor: Tensor = part
    if _is_plain_float8(tensor):
        return tensor.float()
    return tensor.dequantize() if _is_packed(tensor) else tensor


def _is_packed(tensor: Tensor) -> bool:
    # Every tensor has dequantize(); those that need it bring their own.
    return tensor.is_quantized or _is_plain_float8(tensor) or type(tensor).dequantize is not Tensor.dequantize


def _is_plain_float8(tensor: Tensor) -> bool:
    plain = type(tensor) in (Tensor, nn.Parameter)
    return plain and tensor.dtype.is_floating_point and torch.finfo(tensor.dtype).bits < 16
