"""Locating maps to one size, or each to its own, and giving what is found the shape of the images and classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastcam.ops import localization as ops
from fastcam.protocol import Protocol
from fastcam.result import Localization
from fastcam.sizes import Sizes

__all__ = ["Located", "located", "shaped", "wanted_parts"]

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
    found = ops.locate(maps, *size, *protocol.values, with_maps, with_masks)
    return wanted_parts(found, with_maps, with_masks)


def wanted_parts(found: Sequence[Tensor], with_maps: bool, with_masks: bool) -> Located:
    """Return the results of an operator, None in place of what was not asked for."""
    boxes, areas, thresholds, maps, masks = found
    return boxes, areas, thresholds, maps if with_maps else None, masks if with_masks else None


def shaped(found: Located, shape: Sequence[int], labels: Tensor | None) -> Localization:
    """Give flat results their leading shape (N,) or (N, T); of lists, stack the T of an image."""
    if len(shape) == 2:
        found = _grouped(found, *shape)
    boxes, areas, thresholds, maps, masks = found
    return Localization(boxes, areas, thresholds, labels=labels, maps=maps, masks=masks)


def _grouped(found: Located, n: int, t: int) -> Located:
    def grouped(part: Any) -> Any:  # noqa: ANN401
        if isinstance(part, Tensor):
            return part.reshape(n, t, *part.shape[1:])
        return part and [torch.stack(part[i : i + t]) for i in range(0, n * t, t)]

    boxes, areas, thresholds, maps, masks = map(grouped, found)
    return boxes, areas, thresholds, maps, masks
