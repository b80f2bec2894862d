"""``fastcam::locate_padded``, from maps to the boxes of all components in a fixed number of rows a map.

The shapes of the results are known before the data: on a GPU nobody waits, and a CUDA graph can hold all of it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastcam.ops.arguments import check_maps, check_size_of
from fastcam.ops.components import kernels_take
from fastcam.ops.objects import locate_all
from fastcam.ops.objects_by_kernels import padded_by_kernels, values_with
from fastcam.ops.options import SCHEMA, protocol_of
from fastcam.ops.results import area_dtype
from fastcam.ops.tags import TAGS
from fastcam.protocol import Protocol
from fastcam.reference.masks import working_dtype

__all__ = ["locate_padded"]

_library = torch.library.Library("fastcam", "FRAGMENT")
_library.define(
    f"locate_padded(Tensor maps, int height, int width, {SCHEMA})"
    " -> (Tensor boxes, Tensor areas, Tensor scores, Tensor counts, Tensor thresholds)",
    tags=TAGS,
)

_Found = tuple[Tensor, ...]


def _checked(maps: Tensor, height: int, width: int, *values: Any) -> tuple[Protocol, int]:  # noqa: ANN401
    check_maps(maps)
    protocol = protocol_of(*values)
    check_size_of(protocol, height, width)
    if protocol.max_boxes is None:
        raise ValueError("max_boxes must be a number, for there to be as many rows, got None")
    return protocol, protocol.max_boxes


def _empty(maps: Tensor, height: int, width: int, *values: Any) -> _Found:  # noqa: ANN401
    protocol, room = _checked(maps, height, width, *values)
    n, work = maps.shape[0], working_dtype(maps.dtype)
    return (
        maps.new_empty((n, room, 4), dtype=torch.float32),
        maps.new_empty((n, room), dtype=area_dtype(protocol.area)),
        maps.new_empty((n, room), dtype=work),
        maps.new_empty(n, dtype=torch.int64),
        maps.new_empty(n, dtype=work),
    )


def _any_device(maps: Tensor, height: int, width: int, *values: Any) -> _Found:  # noqa: ANN401
    """By way of all boxes, of which the first ones find their rows."""
    protocol, room = _checked(maps, height, width, *values)
    every = locate_all(maps, height, width, *values_with(protocol, max_boxes=None), False, False)
    boxes, areas, scores, numbers, thresholds = every[:5]
    counts = torch.bincount(numbers, minlength=len(maps))
    place = torch.arange(len(numbers), device=maps.device) - (counts.cumsum(0) - counts)[numbers]
    kept = place < room
    rows = numbers[kept], place[kept]
    parts = [part.new_zeros((len(maps), room, *part.shape[1:])) for part in (boxes, areas, scores)]
    for part, found in zip(parts, (boxes, areas, scores), strict=True):
        part[rows] = found[kept]
    return (*parts, counts, thresholds)


def _cuda(maps: Tensor, height: int, width: int, *values: Any) -> _Found:  # noqa: ANN401
    _checked(maps, height, width, *values)
    if not kernels_take(maps.device, height, width):
        return _any_device(maps, height, width, *values)
    return padded_by_kernels(maps, height, width, *values)


torch.library.register_fake("fastcam::locate_padded", _empty)
_library.impl("locate_padded", _any_device, "CompositeExplicitAutograd")
_library.impl("locate_padded", _cuda, "CUDA")
locate_padded = torch.ops.fastcam.locate_padded.default
