"""Which features to take a gradient map of, where there is no linear one: :func:`gradient_source`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastcam.extractors.hooks import Heard, first_tensor
from fastcam.extractors.layout import Layout
from fastcam.extractors.recording import Recording, record

__all__ = ["Candidate", "GradientSource", "gradient_source", "heard_maps", "reaches"]

_MOST_PREFIX = 8  # class, distillation and register tokens
_FEWEST = 4  # positions
_ROUNDED = 0.35  # by how much the logarithm of the aspect may differ: sizes of maps are rounded at every stride
_EXACT = 0.02  # the same where nothing but the number of tokens is known
_AT_ONCE = 8  # outputs whose gradients are computed together
Candidate = tuple[Heard, Tensor, Layout]


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


def gradient_source(
    model: nn.Module, images: Tensor, reason: str, named: str | None = None, recording: Recording | None = None
) -> GradientSource:
    """Find the last module whose output has positions that reach the logits.

    Behind the last attention only the class token reaches them, and behind a pooling there are no positions: so what is
    looked for is the last output of which more than half of the positions have a gradient that is not 0.

    Args:
        model: a classifier in eval mode.
        images: (N, 3, H, W), of which one is used.
        reason: why there is no linear map.
        named: the module to take, whatever reaches the logits.
        recording: a pass of such an image, where there was one.

    Raises:
        ValueError: no module's output is of that kind.
    """
    recording = recording or record(model, images)
    logits, size = recording.logits, recording.size
    candidates = list(heard_maps(recording))
    if named is not None:
        layouts = [layout for one, _, layout in candidates if one.name == named]
        if not layouts:
            raise ValueError(f"features={named!r} gives no maps or tokens of several positions of the picture")
        return GradientSource(named, layouts[-1], reason, logits.shape[1])
    # What a linear layer gives is an intermediate value of an attention or a block, and comes last.
    layers = [isinstance(recording.root.get_submodule(one.name), nn.Linear) for one, *_ in candidates]
    for wanted in (False, True):
        chosen = [one for one, is_layer in zip(candidates, layers, strict=True) if is_layer is wanted]
        found = _last_that_reaches(logits, chosen[::-1], size)
        if found is not None:
            return GradientSource(found[0].name, found[2], reason, logits.shape[1])
    raise ValueError(f"no linear map, because {reason}; and no module's output has positions that reach the logits")


def _last_that_reaches(logits: Tensor, candidates: list[Candidate], size: tuple[int, int]) -> Candidate | None:
    """The first of candidates, the latest first; the backward pass goes no further than it has to."""
    start, count = 0, _AT_ONCE
    while start < len(candidates) and logits.requires_grad:
        some = candidates[start : start + count]
        tensors = [tensor for _, tensor, _ in some]
        with torch.inference_mode(False), torch.enable_grad():
            gradients = torch.autograd.grad(logits.max(), tensors, allow_unused=True, retain_graph=True)
        for candidate, gradient in zip(some, gradients, strict=True):
            if reaches(gradient, candidate[2], size):
                return candidate
        start, count = start + count, 2 * count
    return None


def reaches(gradient: Tensor | None, layout: Layout, size: tuple[int, int]) -> bool:
    """Whether more than half of the positions have a gradient that is not 0."""
    return gradient is not None and bool(layout.planes(gradient, size).ne(0).any(1).float().mean() > 0.5)


def heard_maps(recording: Recording) -> Iterator[Candidate]:
    """All outputs that are maps or tokens of several positions, in the order in which modules ended."""
    model, size = recording.root, recording.size
    named = [(one, first_tensor(one.output)) for one in recording.heard]
    outputs = [(one, tensor) for one, tensor in named if tensor is not None and len(tensor) == 1]
    # Tokens do not say how many of them have a place in the picture: as many as the maps that they were cut from.
    grids: dict[int, tuple[int, ...]] = {}
    for one, tensor in outputs:
        if not tensor.requires_grad or not tensor.is_floating_point() or _widens(model.get_submodule(one.name)):
            continue
        if tensor.dim() == 4:
            # Where both readings are pictures (as many channels as rows), the one whose aspect is nearer is right.
            layouts = sorted((Layout(4, 1), Layout(4, 3)), key=lambda layout: _aspect_error(tensor, layout, size))
        else:
            layouts = _of_tokens(tensor, grids)
        for layout in layouts:
            guessed = tensor.dim() == 3 and not grids
            rows_and_columns = _grid(tensor, layout, size, _EXACT if guessed else _ROUNDED)
            tokens = math.prod(rows_and_columns)
            # Matrices of an attention, (N, heads, L, L), have more entries than there are positions.
            known = grids[tokens] == rows_and_columns if tokens in grids else tokens < min(grids, default=tokens + 1)
            if tokens >= _FEWEST and known:
                yield one, tensor, layout
                grids[tokens] = rows_and_columns
                break


def _widens(module: nn.Module) -> bool:
    """Queries, keys and values are no features."""
    return isinstance(module, nn.Linear) and module.in_features != module.out_features


def _of_tokens(tensor: Tensor, grids: Iterable[int]) -> list[Layout]:
    if tensor.dim() != 3:
        return []
    # Patches that a linear layer embeds were never maps; their number is then all that tells of their grid.
    sides = [(channels, tensor.shape[3 - channels]) for channels in (2, 1)]
    known = list(grids) or [length - prefix for _, length in sides for prefix in range(_MOST_PREFIX + 1)]
    prefixes = [(channels, length - tokens) for tokens in known for channels, length in sides]
    return [Layout(3, channels, prefix) for channels, prefix in prefixes if 0 <= prefix <= _MOST_PREFIX]


def _aspect_error(tensor: Tensor, layout: Layout, size: tuple[int, int]) -> float:
    """By how much the logarithm of the aspect of maps differs from the picture's; infinite without positions."""
    rows, columns = layout.planes(tensor, size).shape[2:]
    if rows * columns == 0:
        return math.inf
    return abs(math.log(rows / columns) - math.log(size[0] / size[1]))


def _grid(tensor: Tensor, layout: Layout, size: tuple[int, int], tolerance: float) -> tuple[int, ...]:
    """The rows and columns of positions, if they have the picture's aspect; zeros if not."""
    try:
        fits = _aspect_error(tensor, layout, size) <= tolerance
    except ValueError:
        return (0, 0)
    return layout.planes(tensor, size).shape[2:] if fits else (0, 0)
