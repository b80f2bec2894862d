"""Which features to take a gradient map of, where there is no linear one: :func:`gradient_source`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

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
        stem: of tokens, the convolution that cuts the picture, whose output has their grid's aspect; empty where there
            is none, and the image has it.
        beside: features of other branches, which the logits depend on as well, and these do not.
    """

    features: str
    layout: Layout
    reason: str
    classes: int
    stem: str = ""
    beside: tuple[str, ...] = ()

    def __str__(self) -> str:
        others = f" of one branch (beside it: {', '.join(map(repr, self.beside))})" if self.beside else ""
        return f"features={self.features!r} {self.layout}, gradient maps{others}, because {self.reason}"


def gradient_source(
    model: nn.Module, images: Tensor, reason: str, named: str | None = None, recording: Recording | None = None
) -> GradientSource:
    """Find the last module whose output has positions that reach the logits.

    Behind the last attention only the class token reaches them, and behind a pooling there are no positions: so what is
    looked for is the last output of which more than half of the positions have a gradient that is not 0. Queries, keys,
    values and other parts that modules of one kind make of the same tensor come after all others.

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
    candidates = list(heard_maps(recording))
    if named is None:
        found, beside = _last(recording, candidates)
        if found is None:
            raise ValueError(
                f"no linear map, because {reason}; and no module's output has positions that reach the logits"
            )
    else:
        found, beside = next((one for one in reversed(candidates) if one[0].name == named), None), []
        if found is None:
            raise ValueError(f"features={named!r} gives no maps or tokens of several positions of the picture")
    call, _, layout = found
    stem = recording.stem if layout.dims == 3 else ""
    others = tuple(one.name for one, *_ in beside)
    return GradientSource(call.name, layout, reason, recording.logits.shape[1], stem, others)


def _last(recording: Recording, candidates: list[Candidate]) -> tuple[Candidate | None, list[Candidate]]:
    """The last features that reach the logits, and those of other branches."""
    parts = _parts(recording)
    # What a linear layer gives is an intermediate value of an attention or a block, and comes last.
    late = [
        one.name in parts or isinstance(recording.root.get_submodule(one.name), nn.Linear) for one, *_ in candidates
    ]
    for wanted in (False, True):
        chosen = [one for one, is_late in zip(candidates, late, strict=True) if is_late is wanted][::-1]
        found = _last_that_reaches(recording.logits, chosen, recording.grid)
        if found is not None:
            return found, _of_other_branches(recording.logits, found, chosen, recording.grid)
    return None, []


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


def _of_other_branches(
    logits: Tensor, found: Candidate, candidates: list[Candidate], size: tuple[int, int]
) -> list[Candidate]:
    """The last features of each branch that reaches the logits, but not ``found``; candidates the latest first."""
    before, branches = _nodes_before(found[1]), []
    for candidate in candidates[candidates.index(found) + 1 :]:
        if candidate[1].grad_fn not in before and _last_that_reaches(logits, [candidate], size) is not None:
            branches.append(candidate)
            before |= _nodes_before(candidate[1])
    return branches


def _nodes_before(tensor: Tensor) -> set[Any]:
    """All nodes of autograd's graph that a tensor was made by; nothing is computed."""
    found, left = set(), [tensor.grad_fn]
    while left:
        node = left.pop()
        if node is not None and node not in found:
            found.add(node)
            left += [following for following, _ in node.next_functions]
    return found


def _parts(recording: Recording) -> set[str]:
    """The modules, with all inside, of which several of one kind and one parent are given the same tensor."""
    groups: dict[tuple[str, type, int], set[str]] = {}
    for one in recording.heard:
        taken = first_tensor(one.input)
        if taken is not None:
            kind = type(recording.root.get_submodule(one.name))
            groups.setdefault((one.name.rpartition(".")[0], kind, id(taken)), set()).add(one.name)
    several = {name for names in groups.values() if len(names) > 1 for name in names}
    outer = {one.name: accumulate(one.name.split("."), "{}.{}".format) for one in recording.heard}
    return {name for name, modules in outer.items() if not several.isdisjoint(modules)}


def reaches(gradient: Tensor | None, layout: Layout, size: tuple[int, int]) -> bool:
    """Whether more than half of the positions have a gradient that is not 0."""
    return gradient is not None and bool(layout.planes(gradient, size).ne(0).any(1).float().mean() > 0.5)


def heard_maps(recording: Recording) -> Iterator[Candidate]:
    """All outputs that are maps or tokens of several positions, in the order in which modules ended."""
    model, size = recording.root, recording.grid
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
            fewer = tokens < min(grids, default=tokens + 1) or _sees_neighbours(model.get_submodule(one.name))
            if tokens >= _FEWEST and (grids[tokens] == rows_and_columns if tokens in grids else fewer):
                yield one, tensor, layout
                grids[tokens] = rows_and_columns
                break


def _sees_neighbours(module: nn.Module) -> bool:
    """What such a convolution gives is maps: of another branch, where they have more positions than those before."""
    return isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1


def _widens(module: nn.Module) -> bool:
    """Queries, keys and values are no features."""
    return isinstance(module, nn.Linear) and module.in_features != module.out_features


def _of_tokens(tensor: Tensor, grids: Mapping[int, tuple[int, ...]]) -> list[Layout]:
    if tensor.dim() != 3:
        return []
    sides = [(channels, tensor.shape[3 - channels]) for channels in (2, 1)]
    known = list(grids)
    if not any(0 <= length - tokens <= _MOST_PREFIX for tokens in known for _, length in sides):
        # Merged patches, or patches of patches, were never maps, but their grid is one of those made coarser.
        known = [tokens for of_maps in grids.values() for tokens in _coarser(of_maps)]
    if not grids:
        # Neither were patches that a linear layer embeds; their number is then all that tells of their grid.
        known = [length - prefix for _, length in sides for prefix in range(_MOST_PREFIX + 1)]
    prefixes = [(channels, length - tokens) for tokens in known for channels, length in sides]
    return [Layout(3, channels, prefix) for channels, prefix in prefixes if 0 <= prefix <= _MOST_PREFIX]


def _coarser(grid: tuple[int, ...]) -> Iterator[int]:
    """How many positions a grid has of half as many rows and columns, rounded up, and of a quarter."""
    rows, columns = grid
    yield -(-rows // 2) * -(-columns // 2)
    if rows % 4 == columns % 4 == 0:
        yield rows // 4 * (columns // 4)


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
