"""Maps of one position, which say nothing: refused, with the module named that still has positions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from fastcam.extractors.hooks import eager

__all__ = ["check_positions", "one_position", "where_positions_are"]


def one_position(maps: tuple[int, ...], image: tuple[int, ...]) -> bool:
    """Whether maps of size (h, w) have one position for images (H, W) that have more."""
    return tuple(maps) == (1, 1) and tuple(image) != (1, 1)


def check_positions(maps: tuple[int, ...], image: tuple[int, ...]) -> None:
    """Refuse maps of one position: the box of every class would be the whole image.

    Raises:
        ValueError: the message says what to do.
    """
    if one_position(maps, image):
        raise ValueError(
            f"maps must have more than one position, got (1, 1) for images of {tuple(image)}: the box of every class "
            "would be the whole image; use larger images, or a network with a smaller stride"
        )


def where_positions_are(
    model: nn.Module, images: Tensor, channels: int, explains: Callable[[Tensor], bool]
) -> tuple[str | None, str]:
    """Run a model once more, and look at what every module takes and gives.

    Args:
        model: in eval mode, so that running it changes nothing.
        images: (N, 3, H, W).
        channels: C, the columns of the classifier's weight.
        explains: whether features (N, C, h, w), pooled, are what the logits are made of.

    Returns:
        The outermost module whose output, or ``"name:input"`` whose input, explains the logits; None where there is
        none. And in words the last module whose output has more than one position.
    """
    outputs: dict[str, Tensor] = {}
    inputs: dict[str, Tensor] = {}
    last = "no module's output has more"

    def keep(place: dict[str, Tensor], name: str, value: Any) -> None:  # noqa: ANN401
        nonlocal last
        place.pop(name, None)
        if isinstance(value, Tensor) and value.dim() == 4 and value.shape[2:].numel() > 1:
            if value.shape[1] == channels:
                place[name] = value
            if place is outputs:
                last = f"the last output with more is that of {name!r}, {tuple(value.shape)}"

    with ExitStack() as hooks, eager():
        for name, module in model.named_modules():
            if not name or isinstance(module, torch.jit.ScriptModule):
                continue
            after = module.register_forward_hook(lambda _, __, output, name=name: keep(outputs, name, output))
            before = module.register_forward_pre_hook(
                lambda _, args, name=name: keep(inputs, name, next(iter(args), None))
            )
            hooks.callback(after.remove)
            hooks.callback(before.remove)
        model(images)
    # The outermost of the modules that give the same tensor ends last.
    for suffix, place in (("", outputs), (":input", inputs)):
        for name in reversed(place):
            if explains(place[name]):
                return f"{name}{suffix}", last
    return None, last
