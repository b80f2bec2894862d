"""Listening to modules of a network while it runs: named modules, and hooks that live only during a call."""

from __future__ import annotations

import difflib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = [
    "Heard",
    "before_calls",
    "eager",
    "first_tensor",
    "hearing_all",
    "listening",
    "logits_of",
    "submodule",
    "unwrapped",
]


def submodule(root: nn.Module, name: str, argument: str) -> nn.Module:
    """Return a module by its name; what is no name is a ValueError that says which argument, and what comes close."""
    try:
        if name:
            return root.get_submodule(name)
    except AttributeError:
        pass
    names = [known for known, _ in root.named_modules() if known]
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    known = f"close to it: {', '.join(map(repr, close))}" if close else f"it has {', '.join(map(repr, names[:8]))}"
    raise ValueError(f"{argument}={name!r} is no module of {type(root).__name__}; {known if names else 'it has none'}")


@contextmanager
def listening(module: nn.Module, reads_input: bool) -> Iterator[list[Any]]:
    """Yield a list that holds the module's last output, or first input of its last call, from this thread alone.

    Of a scripted module, which takes no hooks, nothing is heard.
    """
    heard: list[Any] = []
    if isinstance(module, torch.jit.ScriptModule):
        yield heard
        return
    thread = threading.get_ident()

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if threading.get_ident() == thread:
            heard[:] = [*args, *kwargs.values()][:1]

    def after(_: nn.Module, __: tuple[Any, ...], output: object) -> None:
        if threading.get_ident() == thread:
            heard[:] = [output]

    if reads_input:
        handle = module.register_forward_pre_hook(before, with_kwargs=True)
    else:
        handle = module.register_forward_hook(after)
    try:
        yield heard
    finally:
        handle.remove()


@contextmanager
def before_calls(module: nn.Module, action: Callable[[], object] | None) -> Iterator[None]:
    """Run an action before each call of the module from this thread; None runs nothing."""
    thread = threading.get_ident()

    def run(_: nn.Module, __: tuple[Any, ...]) -> None:
        if action is not None and threading.get_ident() == thread:
            action()

    handle = None if action is None else module.register_forward_pre_hook(run)
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()


def eager() -> AbstractContextManager[object]:
    """Run compiled modules uncompiled: a graph traced before a hook was registered does not call it."""
    # Nothing can be compiled before Dynamo is imported, and importing it takes longer than most forward passes.
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance


@dataclass(frozen=True, eq=False)
class Heard:
    """One call of a module: its first argument, and what it returned."""

    name: str
    input: object
    output: object


@contextmanager
def hearing_all(root: nn.Module) -> Iterator[list[Heard]]:
    """Yield a list of all calls of all named modules from this thread alone, in the order in which they ended."""
    heard: list[Heard] = []
    thread = threading.get_ident()

    def hook(name: str) -> Callable[..., None]:
        def after(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: object) -> None:
            if threading.get_ident() == thread:
                heard.append(Heard(name, next(iter([*args, *kwargs.values()]), None), output))

        return after

    handles = [
        module.register_forward_hook(hook(name), with_kwargs=True)
        for name, module in root.named_modules()
        if name and not isinstance(module, torch.jit.ScriptModule)
    ]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def first_tensor(value: object) -> Tensor | None:
    """Return a module's result, or the first tensor of a tuple, a list, a dictionary or a Hugging Face output."""
    if isinstance(value, Tensor):
        return value
    values = value.values() if isinstance(value, Mapping) else value if isinstance(value, (tuple, list)) else ()
    return next((one for one in values if isinstance(one, Tensor)), None)


def logits_of(output: object, count: int | None = None) -> Tensor:
    """Return a network's logits (N, K): its output, what that has as ``.logits`` or ``["logits"]``, its only tensor.

    Args:
        output: of the network.
        count: N, where it is known.

    Raises:
        TypeError: there are none, it is not clear which they are, or they are no floating-point numbers.
        ValueError: they are not (N, K).
    """
    logits = getattr(output, "logits", output)
    if isinstance(logits, Mapping) and "logits" in logits:
        logits = logits["logits"]
    if isinstance(logits, (Mapping, tuple, list)):
        values = list(logits.values() if isinstance(logits, Mapping) else logits)
        if len(values) == 1 and isinstance(values[0], Tensor) and values[0].dim() == 2:
            logits = values[0]
    if not isinstance(logits, Tensor):
        raise TypeError(
            f"the model must return logits, or an object with .logits, got {type(output).__name__}; a dictionary with "
            "'logits' will do, and a tuple or a dictionary of one tensor (N, K)"
        )
    if logits.dim() > 2 and logits.shape[2:].numel() == 1:
        logits = logits.flatten(1)
    if not logits.is_floating_point():
        raise TypeError(f"the model must return logits in floating point, got {logits.dtype}")
    if logits.dim() != 2 or logits.shape[1] == 0 or (count is not None and logits.shape[0] != count):
        images = "" if count is None else f" with N={count} images and a column for each class"
        raise ValueError(f"the model must return logits (N, K){images}, got shape {tuple(logits.shape)}")
    return logits


def unwrapped(model: nn.Module) -> nn.Module:
    """Return what ``torch.compile`` wraps: the names and the hooks belong to that."""
    inner: nn.Module = getattr(model, "_orig_mod", model)
    return inner
