"""``fastcam::largest``, the largest component of each mask; and all components, whose number depends on the data."""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
import torch
from torch import Tensor

from fastcam.ops.arguments import check_masks
from fastcam.ops.core import core
from fastcam.ops.eager import is_eager
from fastcam.ops.gpu import kernels_run_on
from fastcam.ops.masks import pack, unpack
from fastcam.ops.results import area_dtype, boxes_and_areas
from fastcam.ops.tags import TAGS, TAGS_OF_WAITING
from fastcam.protocol import Area
from fastcam.reference import components as reference

__all__ = ["all_components", "fit_kernels", "kernels_take", "largest"]

_library = torch.library.Library("fastcam", "FRAGMENT")
# One operator by two names: tags are of a name, and whether the host waits on a GPU depends on the size.
_NAMES: Final = {"largest": TAGS, "largest_waiting": TAGS_OF_WAITING}
for _name, _tags in _NAMES.items():
    _library.define(f"{_name}(Tensor masks, int width, str area, int connectivity) -> (Tensor, Tensor)", tags=_tags)


_LONGEST_SIDE: Final = 0x7FFF
_MOST_PIXELS: Final = 1 << 20


def kernels_take(device: torch.device, height: int, width: int) -> bool:
    """Whether components of masks are found on the masks' own device, without a wait; else the host finds them.

    A program labels a mask alone, and its scratch memory for the worst case grows with the mask; x and y of a pixel
    share 32 bits.
    """
    return fit_kernels(height, width) and kernels_run_on(device)


def fit_kernels(height: int, width: int) -> bool:
    """Whether masks are of a size that kernels take, on whatever device."""
    return max(height, width) <= _LONGEST_SIDE and height * width <= _MOST_PIXELS


def _words(masks: Tensor) -> Tensor:
    """Plain masks packed where they are: an eighth as many bytes to move and to read."""
    return (masks if masks.dtype == torch.int64 else pack(masks)).contiguous()


def _empty(masks: Tensor, width: int, area: Area, connectivity: int) -> tuple[Tensor, Tensor]:
    check_masks(masks, width, area, connectivity)
    return boxes_and_areas(masks, masks.shape[0], area)


def _cpu(masks: Tensor, width: int, area: Area, connectivity: int) -> tuple[Tensor, Tensor]:
    check_masks(masks, width, area, connectivity)
    masks = masks.contiguous()
    images = masks.shape[0]
    boxes, areas = boxes_and_areas(masks, images, area)
    core.largest(*_batch(masks, width, area, connectivity), boxes.data_ptr(), areas.data_ptr(), torch.get_num_threads())
    return boxes, areas


def _reference(masks: Tensor, width: int, area: Area, connectivity: int) -> tuple[Tensor, Tensor]:
    boxes = torch.zeros((len(masks), 4), dtype=torch.float32)
    areas = torch.zeros(len(masks), dtype=area_dtype(area))
    for i, mask in enumerate(_unpacked(masks, width)):
        found = reference.largest(mask, area, connectivity)
        if found is not None:
            boxes[i] = torch.tensor([found.x0, found.y0, found.x1, found.y1])
            areas[i] = found.polygon if area == "polygon" else found.pixels
    return boxes, areas


def _any_device(masks: Tensor, width: int, area: Area, connectivity: int) -> tuple[Tensor, Tensor]:
    """Boxes (N, 4) float32 and areas (N,) of masks (N, H, W) uint8, or (N, H, words) int64, packed."""
    check_masks(masks, width, area, connectivity)
    boxes, areas = (_reference if core is None else _cpu)(masks.cpu(), width, area, connectivity)
    return boxes.to(masks.device), areas.to(masks.device)


def _cuda(masks: Tensor, width: int, area: Area, connectivity: int) -> tuple[Tensor, Tensor]:
    boxes, areas = _empty(masks, width, area, connectivity)
    if not kernels_take(masks.device, masks.shape[1], width):
        return _by_way_of_the_host(_words(masks), width, area, connectivity)
    from fastcam.kernels import components as kernel

    if len(masks):
        kernel.largest(_words(masks), width, area == "polygon", connectivity, boxes, areas)
    return boxes, areas


def _by_way_of_the_host(masks: Tensor, width: int, area: Area, connectivity: int) -> tuple[Tensor, Tensor]:
    """Through pinned memory on a side stream: the host waits for the masks, and for no later work."""
    current, side = torch.cuda.current_stream(masks.device), _side_stream(masks.device)
    host = torch.empty_like(masks, device="cpu", pin_memory=True)
    side.wait_stream(current)
    with torch.cuda.stream(side):
        host.copy_(masks, non_blocking=True)
        arrived = side.record_event()
    masks.record_stream(side)
    arrived.synchronize()
    boxes, areas = (_reference if core is None else _cpu)(host, width, area, connectivity)
    return _sent(boxes, masks.device), _sent(areas, masks.device)


@functools.cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


def _sent(found: Tensor, device: torch.device) -> Tensor:
    """Copy to the device in the order of the current stream, without waiting for it."""
    return found.pin_memory().to(device, non_blocking=True)


for _name in _NAMES:
    torch.library.register_fake(f"fastcam::{_name}", _empty)
    _library.impl(_name, _any_device, "CompositeExplicitAutograd")
    _library.impl(_name, _cuda, "CUDA")
    if core is not None:
        _library.impl(_name, _cpu, "CPU")


def largest(masks: Tensor, width: int, area: Area, connectivity: int) -> tuple[Tensor, Tensor]:
    """Return the boxes (N, 4) and areas (N,) of the largest components, by the operator that says if anyone waits."""
    if is_eager(masks):
        return _cpu(masks, width, area, connectivity)
    operators = torch.ops.fastcam
    fits = fit_kernels(masks.shape[1], width)
    found: tuple[Tensor, Tensor] = (operators.largest if fits else operators.largest_waiting).default(
        masks, width, area, connectivity
    )
    return found


def all_components(masks: Tensor, width: int, area: Area, connectivity: int) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes (M, 4), areas (M,) and image numbers (M,) of every component, image by image in raster order."""
    check_masks(masks, width, area, connectivity)
    if masks.is_meta:
        raise TypeError("masks must hold values, for their components to be counted, got a meta tensor")
    if masks.is_cuda and kernels_take(masks.device, masks.shape[1], width):
        return _all_by_kernels(masks, width, area, connectivity)
    if masks.is_cuda:
        masks = _words(masks)
    host = masks.cpu().contiguous()
    if core is not None:
        boxes, areas, image = core.all_components(*_batch(host, width, area, connectivity), torch.get_num_threads())
    else:
        found = [
            (i, c) for i, mask in enumerate(_unpacked(host, width)) for c in reference.components(mask, connectivity)
        ]
        boxes = np.array([(c.x0, c.y0, c.x1, c.y1) for _, c in found], np.float32).reshape(-1, 4)
        areas = np.array([c.polygon if area == "polygon" else c.pixels for _, c in found], np.float64)
        image = np.array([i for i, _ in found], np.int64)
    tensors = torch.from_numpy(boxes), torch.from_numpy(areas).to(area_dtype(area)), torch.from_numpy(image)
    return tensors[0].to(masks.device), tensors[1].to(masks.device), tensors[2].to(masks.device)


def _all_by_kernels(masks: Tensor, width: int, area: Area, connectivity: int) -> tuple[Tensor, Tensor, Tensor]:
    """The same where the masks are: they are labelled twice, once to count, and the host waits for one number."""
    from fastcam.kernels import components as kernel

    options = _words(masks), width, area == "polygon", connectivity
    counts = masks.new_zeros(len(masks), dtype=torch.int64)
    boxes = masks.new_empty((0, 4), dtype=torch.int32)
    areas = masks.new_empty(0, dtype=torch.int32)
    total = 0
    if len(masks):
        kernel.every(*options, 0, torch.zeros_like(counts), boxes, areas, counts)
        ends = counts.cumsum(0)
        total = int(ends[-1])
    if total:
        boxes, areas = boxes.new_empty((total, 4)), areas.new_empty(total)
        kernel.every(*options, total, ends - counts, boxes, areas, counts.clone())
    numbers = torch.arange(len(masks), device=masks.device)
    # Of polygons the kernels count twice the area.
    areas = areas.to(area_dtype(area))
    if area == "polygon":
        areas /= 2
    return boxes.float(), areas, numbers.repeat_interleave(counts, output_size=total)


def _batch(masks: Tensor, width: int, area: Area, connectivity: int) -> tuple[int, bool, int, int, int, str, int]:
    return masks.data_ptr(), masks.dtype == torch.int64, masks.shape[0], masks.shape[1], width, area, connectivity


def _unpacked(masks: Tensor, width: int) -> list[np.ndarray[tuple[int, int], np.dtype[np.bool_]]]:
    return list((unpack(masks, width) if masks.dtype == torch.int64 else masks != 0).numpy())
