"""From maps to boxes by the reference alone, as a protocol says: what the faster ways must find."""

from __future__ import annotations

import torch
from torch import Tensor

from fastcam import Protocol
from fastcam.reference import components
from fastcam.reference.masks import kept

__all__ = ["located"]


def located(maps: Tensor, size: tuple[int, int], protocol: Protocol) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Boxes (N, 4), areas (N,), thresholds (N,), full-size maps and masks (N, H, W) of maps (N, h, w)."""
    height, width = size
    full, thresholds, masks = kept(maps, size, protocol)
    boxes, areas = [], []
    for mask in masks.numpy():
        found = components.largest(mask, protocol.area, protocol.connectivity)
        if found is None:
            boxes.append([0, 0, width, height] if protocol.empty == "image" else [0, 0, 0, 0])
            areas.append(0)
            continue
        x1, y1 = found.x1, found.y1
        if protocol.box_end == "clipped":
            x1, y1 = min(x1, width - 1), min(y1, height - 1)
        boxes.append([found.x0, found.y0, x1, y1])
        areas.append(found.polygon if protocol.area == "polygon" else found.pixels)
    area_dtype = torch.float64 if protocol.area == "polygon" else torch.int64
    boxes_found = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return boxes_found, torch.tensor(areas, dtype=area_dtype), thresholds, full, masks
