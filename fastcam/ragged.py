"""Locating maps to one size, or each to its own, and giving what is found the shape of the images and classes.

Of each map the largest component, or all: then the number of boxes is ragged too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fastcam.objects import Objects
from fastcam.ops import localization as ops
from fastcam.ops.objects import locate_all
from fastcam.protocol import Protocol
from fastcam.result import Localization
from fastcam.sizes import Sizes

__all__ = ["Located", "all_shaped", "located", "located_all", "objects_found", "shaped", "wanted_parts"]

Located = tuple[Tensor, Tensor, Tensor, Any, Any]
"""Boxes (M, 4), areas (M,), thresholds (M,); full-size maps and masks, each a tensor, a list of M, or None."""


def located(maps: Tensor, sizes: Sizes, protocol: Protocol, with_maps: bool, with_masks: bool) -> Located:
    """Locate maps (M, h, w), with one size for all or a list of M; in a list, equal sizes are worked on together."""
    if isinstance(sizes, tuple):
        return _located_alike(maps, sizes, protocol, with_maps, with_masks)
    if not sizes:
        empty = _located_alike(maps, (1, 1), protocol, False, False)
        return (*empty[:3], [] if with_maps else None, [] if with_masks else None)
    numbers_of: dict[tuple[int, int], list[int]] = {}
    for i, size in enumerate(sizes):
        numbers_of.setdefault(size, []).append(i)
    pieces: list[Any] = [None] * len(sizes)
    for size, numbers in numbers_of.items():
        chosen = maps[torch.tensor(numbers, device=maps.device)]
        found = _located_alike(chosen, size, protocol, with_maps, with_masks)
        for row, i in enumerate(numbers):
            pieces[i] = tuple(part if part is None else part[row] for part in found)
    boxes, areas, thresholds, full, masks = zip(*pieces, strict=True)
    stacked = torch.stack(boxes), torch.stack(areas), torch.stack(thresholds)
    return (*stacked, list(full) if with_maps else None, list(masks) if with_masks else None)


def _located_alike(
    maps: Tensor, size: tuple[int, int], protocol: Protocol, with_maps: bool, with_masks: bool
) -> Located:
    found = ops.locate_by(protocol, *size, maps)(maps, *size, *protocol.values, with_maps, with_masks)
    return wanted_parts(found, with_maps, with_masks)


def wanted_parts(found: Sequence[Tensor], with_maps: bool, with_masks: bool) -> Located:
    """Return the results of an operator, None in place of what was not asked for."""
    boxes, areas, thresholds, maps, masks = found
    return boxes, areas, thresholds, maps if with_maps else None, masks if with_masks else None


def shaped(
    found: Located, shape: Sequence[int], labels: Tensor | None, sizes: Sizes, protocol: Protocol
) -> Localization:
    """Give flat results their leading shape (N,) or (N, T); of lists, stack the T of an image. ``sizes``: of all N."""
    boxes, areas, thresholds, maps, masks = [_by_image(part, *shape) for part in found] if len(shape) == 2 else found
    kind: dict[str, Any] = {"size": _fixed(sizes), "connectivity": protocol.connectivity}
    return Localization(boxes, areas, thresholds, labels=labels, maps=maps, masks=masks, **kind)


def _fixed(sizes: Sizes) -> tuple[int, int] | tuple[tuple[int, int], ...]:
    """One size for all, or a tuple of one an image, as a result has it."""
    return sizes if isinstance(sizes, tuple) else tuple(sizes)


def _by_image(part: Any, n: int, t: int) -> Any:  # noqa: ANN401
    """Of N * T flat results make (N, T); of a list of as many, the N stacks of T."""
    if isinstance(part, Tensor):
        return part.reshape(n, t, *part.shape[1:])
    return part and [torch.stack(part[i : i + t]) for i in range(0, n * t, t)]


def located_all(maps: Tensor, sizes: Sizes, protocol: Protocol, with_maps: bool, with_masks: bool) -> Objects:
    """Find all boxes in maps (M, h, w), as :func:`located` does the largest; each map counts as an image."""
    if isinstance(sizes, tuple):
        return objects_found(locate_all(maps, *sizes, *protocol.values, with_maps, with_masks), with_maps, with_masks)
    order, parts = [], []
    for size in dict.fromkeys(sizes or [(1, 1)]):
        numbers = [i for i, one in enumerate(sizes) if one == size]
        order += numbers
        chosen = maps[torch.tensor(numbers, dtype=torch.int64, device=maps.device)]
        parts.append(located_all(chosen, size, protocol, with_maps, with_masks))
    # They come size by size; each goes back to its place.
    found = Objects.cat(parts)[torch.tensor(order, dtype=torch.int64).argsort()]
    assert isinstance(found, Objects)
    as_lists: dict[str, Any] = {
        name: list(part) for name, part in (("maps", found.maps), ("masks", found.masks)) if part is not None
    }
    return replace(found, **as_lists)


def objects_found(found: Sequence[Tensor], with_maps: bool, with_masks: bool) -> Objects:
    """Name the results of an operator that finds all boxes."""
    boxes, areas, scores, numbers, thresholds, maps, masks = found
    asked: dict[str, Any] = {"maps": maps if with_maps else None, "masks": masks if with_masks else None}
    return Objects(boxes, areas, thresholds, scores=scores, image=numbers, **asked)


def all_shaped(
    found: Objects, shape: Sequence[int], labels: Tensor | None, sizes: Sizes, protocol: Protocol
) -> Objects:
    """Make those of flat maps those of N images, or of N images and T classes, and give each box its class."""
    parts: dict[str, Any] = {} if labels is None else {"labels": labels.flatten()[found.image]}
    if len(shape) == 2:
        n, t = shape
        parts |= {"image": found.image // max(t, 1), "place": found.image % max(t, 1)}
        parts |= {name: _by_image(getattr(found, name), n, t) for name in ("thresholds", "maps", "masks")}
    return replace(found, **parts, size=_fixed(sizes), connectivity=protocol.connectivity)
