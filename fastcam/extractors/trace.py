"""The operators of one forward pass, and where every tensor of it came from: :class:`Trace`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["Origin", "Step", "Trace"]


@dataclass(frozen=True, eq=False)
class Step:
    """One operator call.

    Attributes:
        name: without its namespace, its overload and the underscore of in-place forms: ``addmm``, ``mul``.
        given: its arguments by the names of its schema, defaults included.
        tensors: the tensors among them.
    """

    name: str
    given: Mapping[str, Any]
    tensors: Sequence[Tensor]


@dataclass(frozen=True, eq=False)
class Origin:
    """How a tensor came to its values.

    Attributes:
        step: the operator that wrote it last.
        before: where the values came from that an in-place operator found in the same tensor.
    """

    step: Step
    before: Origin | None


class Trace(TorchDispatchMode):
    """Records every operator that runs while it is entered, and keeps all their tensors alive.

    Args:
        images: what the network is called with; a tensor depends on the images if one of its ancestors is this.

    Example:
        >>> images = torch.rand(2, 3)
        >>> with torch.no_grad(), Trace(images) as trace:
        ...     doubled = images * 2
        >>> trace.origin(doubled).step.name, trace.depends(doubled)
        ('mul', True)
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._origins: dict[int, Origin] = {}
        self._dependent = {id(images)}
        # A tensor's id is only its own while it lives.
        self._alive: list[Any] = [images]

    def __torch_dispatch__(
        self,
        function: OpOverload,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        # Under inference_mode, operators that are made of others arrive whole.
        if torch._C._dispatch_has_kernel_for_dispatch_key(function.name(), "CompositeImplicitAutograd"):
            with self:
                result = function.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = function(*args, **kwargs)
        self._record(function, args, kwargs, result)
        return result

    def origin(self, tensor: Tensor) -> Origin | None:
        """Return where a tensor's values came from; None for what no recorded operator wrote."""
        return self._origins.get(id(tensor))

    def depends(self, tensor: object) -> bool:
        """Return whether a tensor was made from the images."""
        return id(tensor) in self._dependent

    def _record(self, function: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        taken = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self._alive += [args, kwargs, made]
        step = Step(_plain_name(function), _by_name(function, args, kwargs), taken)
        for tensor in made:
            in_place = any(tensor is other for other in taken)
            self._origins[id(tensor)] = Origin(step, self._origins.get(id(tensor)) if in_place else None)
        if any(map(self.depends, taken)):
            self._dependent.update(map(id, made))


def _plain_name(function: OpOverload) -> str:
    name = function._schema.name.split("::")[1]
    return name.rstrip("_") if name.endswith("_") else name


def _by_name(function: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    arguments = function._schema.arguments
    given = {argument.name: argument.default_value for argument in arguments if argument.has_default_value()}
    given.update(zip((argument.name for argument in arguments), args, strict=False))
    given.update(kwargs)
    return given
