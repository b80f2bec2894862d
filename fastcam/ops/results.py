"""What finding boxes in maps gives, allocated: for the core to fill, and for PyTorch to know the shapes of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastcam.ops.arguments import check_size_of
from fastcam.ops.options import SCHEMA, protocol_of
from fastcam.protocol import Protocol
from fastcam.reference.masks import working_dtype

__all__ = ["ARGUMENTS", "OfMaps", "boxes_and_areas", "parts_of_maps"]

ARGUMENTS = f"int height, int width, {SCHEMA}, bool with_maps, bool with_masks"
"""What the operators take behind maps or features, in the language of their schemas."""

OfMaps = tuple[Tensor, Tensor, Tensor]
"""Thresholds, full-size maps, masks."""


def boxes_and_areas(like: Tensor, count: int | torch.SymInt, protocol: Protocol) -> tuple[Tensor, Tensor]:
    """Allocate so many boxes and the areas of their components."""
    areas = torch.float64 if protocol.area == "polygon" else torch.int64
    return like.new_empty((count, 4), dtype=torch.float32), like.new_empty(count, dtype=areas)


def parts_of_maps(like: Tensor, count: int, height: int, width: int, *options: Any) -> OfMaps:  # noqa: ANN401
    """Allocate the thresholds of so many maps, and where wanted their full-size maps and masks."""
    *values, with_maps, with_masks = options
    check_size_of(protocol_of(*values), height, width)
    work = working_dtype(like.dtype)
    full = torch.uint8 if protocol_of(*values).quantize else work
    return (
        like.new_empty(count, dtype=work),
        like.new_empty((count if with_maps else 0, height, width), dtype=full),
        like.new_empty((count if with_masks else 0, height, width), dtype=torch.bool),
    )
