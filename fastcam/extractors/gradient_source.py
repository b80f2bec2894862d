"""Which features to take a gradient map of, where there is no linear one: :func:`gradient_source`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastcam.extractors.hooks import Heard, eager, first_tensor, hearing_all, logits_of, unwrapped
from fastcam.extractors.layout import Layout

__all__ = ["GradientSource", "gradient_source"]

_MOST_PREFIX = 8  # class, distillation and register tokens


@dataclass(frozen=True)
class GradientSource:
    """The last features whose positions all reach the logits.

    Attributes:
        features: the module whose output they are.
        layout: of that tensor.
        reason: why there is no linear map.
        classes: K, the number of classes.
    """

    features: str
    layout: Layout
    reason: str
    classes: int

    def __str__(self) -> str:
        return f"features={self.features!r} {self.layout}, gradient maps, because {self.reason}"


def gradient_source(model: nn.Module, images: Tensor, reason: str, named: str | None = None) -> GradientSource:
    """Find the last module whose output has positions that reach the logits.

    Behind the last attention only the class token reaches them, and behind a pooling there are no positions: so what is
    looked for is the last output of which more than half of the positions have a gradient that is not 0.

    Args:
        model: a classifier in eval mode.
        images: (N, 3, H, W), of which one is used.
        reason: why there is no linear map.
        named: the module to take, whatever reaches the logits.

    Raises:
        ValueError: no module's output is of that kind.
    """
    image = images[:1]
    root = unwrapped(model)
    size = (image.shape[2], image.shape[3])
    with torch.enable_grad(), eager(), hearing_all(root) as heard:
        logits = logits_of(model(image.detach().requires_grad_()))
        candidates = list(_candidates(root, heard, size))
        tensors = [tensor for _, tensor, _ in candidates]
        gradients = torch.autograd.grad(logits.max(), tensors, allow_unused=True) if tensors else ()
    if named is not None:
        layouts = [layout for one, _, layout in candidates if one.name == named]
        if not layouts:
            raise ValueError(f"features={named!r} gives no maps or tokens of several positions of the picture")
        return GradientSource(named, layouts[-1], reason, logits.shape[1])
    for (one, tensor, layout), gradient in reversed(list(zip(candidates, gradients, strict=True))):
        if gradient is not None and _reaching(gradient, layout, size) > tensor.shape[1:].numel() / 2:
            return GradientSource(one.name, layout, reason, logits.shape[1])
    raise ValueError(f"no linear map, because {reason}; and no module's output has positions that reach the logits")


def _reaching(gradient: Tensor, layout: Layout, size: tuple[int, int]) -> int:
    """How many values lie at positions with a gradient."""
    planes = layout.planes(gradient, size)
    return int(planes.ne(0).any(1).sum()) * planes.shape[1]


def _candidates(model: nn.Module, heard: list[Heard], size: tuple[int, int]) -> Iterator[tuple[Heard, Tensor, Layout]]:
    """All outputs that are maps or tokens of several positions, in the order in which modules ended."""
    outputs = [(one, tensor) for one in heard if (tensor := first_tensor(one.output)) is not None and len(tensor) == 1]
    # Tokens do not say how many of them have a place in the picture: as many as the maps that they were cut from.
    grids: set[int] = set()
    for one, tensor in outputs:
        if not tensor.requires_grad or not tensor.is_floating_point() or _widens(model.get_submodule(one.name)):
            continue
        if tensor.dim() == 4:
            layouts = [Layout(4, 3), Layout(4, 1)]
        else:
            layouts = [layout for tokens in grids for layout in _of_tokens(tensor, tokens)]
        for layout in layouts:
            if _is_a_picture(tensor, layout, size):
                yield one, tensor, layout
                grids.add(layout.flat(tensor).shape[2])
                break


def _widens(module: nn.Module) -> bool:
    """Queries, keys and values are no features."""
    return isinstance(module, nn.Linear) and module.in_features != module.out_features


def _of_tokens(tensor: Tensor, tokens: int) -> list[Layout]:
    if tensor.dim() != 3:
        return []
    prefixes = [(channels, tensor.shape[3 - channels] - tokens) for channels in (2, 1)]
    return [Layout(3, channels, prefix) for channels, prefix in prefixes if 0 <= prefix <= _MOST_PREFIX]


def _is_a_picture(tensor: Tensor, layout: Layout, size: tuple[int, int]) -> bool:
    """Whether positions can be those of the picture: several, of its aspect."""
    try:
        rows, columns = layout.planes(tensor, size).shape[2:]
    except ValueError:
        return False
    # Tokens say nothing of their grid, so that one has to fit well; sizes of maps are rounded at every stride.
    tolerance = 0.35 if layout.dims == 4 else 0.02
    return rows * columns >= 4 and abs(math.log(rows / columns) - math.log(size[0] / size[1])) <= tolerance
