"""What finding boxes in maps gives, allocated: for the core to fill, and for PyTorch to know the shapes of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastcam.ops.arguments import check_size_of
from fastcam.ops.options import SCHEMA, protocol_of
from fastcam.protocol import Area
from fastcam.reference.masks import working_dtype

__all__ = ["ARGUMENTS", "OfMaps", "area_dtype", "boxes_and_areas", "parts_of_maps"]

ARGUMENTS = f"int height, int width, {SCHEMA}, bool with_maps, bool with_masks"
"""What the operators take behind maps or features, in the language of their schemas."""

OfMaps = tuple[Tensor, Tensor, Tensor]
"""Thresholds, full-size maps, masks."""


def area_dtype(area: Area) -> torch.dtype:
    """Pixels are whole numbers, areas of polygons are halves of them."""
    return torch.float64 if area == "polygon" else torch.int64


def boxes_and_areas(like: Tensor, count: int | torch.SymInt, area: Area) -> tuple[Tensor, Tensor]:
    """Allocate so many boxes and the areas of their components."""
    device = like.device
    boxes = torch.empty_strided((count, 4), (4, 1), dtype=torch.float32, device=device)
    return boxes, torch.empty_strided((count,), (1,), dtype=area_dtype(area), device=device)


def parts_of_maps(like: Tensor, count: int, height: int, width: int, *options: Any) -> OfMaps:  # noqa: ANN401
    """Allocate the thresholds of so many maps, and where wanted their full-size maps and masks."""
    *values, with_maps, with_masks = options
    protocol = protocol_of(*values)
    check_size_of(protocol, height, width)
    work, device, strides = working_dtype(like.dtype), like.device, (height * width, width, 1)
    full = torch.uint8 if protocol.quantize else work
    # empty_strided takes half the time of new_empty, which is a fifth of a call for one small image.
    return (
        torch.empty_strided((count,), (1,), dtype=work, device=device),
        torch.empty_strided((count if with_maps else 0, height, width), strides, dtype=full, device=device),
        torch.empty_strided((count if with_masks else 0, height, width), strides, dtype=torch.bool, device=device),
    )
