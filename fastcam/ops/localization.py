"""``fastcam::locate``, from maps to boxes (Eq. 3, 6)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from fastcam.ops.core import core
from fastcam.ops.masks import binarize
from fastcam.ops.regions import largest, unpack
from fastcam.protocol import Interpolation, Normalization

__all__ = ["locate"]

_NORMALIZE: Final = {"none": 0, "minmax": 1, "max": 2, "percentile": 3}

_library = torch.library.Library("fastcam", "FRAGMENT")
_library.define(
    "locate(Tensor maps, int height, int width, str interpolation, str normalize, bool quantize, float percentile,"
    " float threshold, bool polygon, int connectivity, bool clipped, bool whole_image, bool with_maps, bool with_masks)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    tags=(torch.Tag.pt2_compliant_tag,),
)

_Found = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


class _Options(NamedTuple):
    """What the operator takes after the size, in its order."""

    interpolation: Interpolation
    normalize: Normalization
    quantize: bool
    percentile: float
    threshold: float
    polygon: bool
    connectivity: int
    clipped: bool
    whole_image: bool
    with_maps: bool
    with_masks: bool


def _empty(maps: Tensor, height: int, width: int, *options: Any) -> _Found:  # noqa: ANN401
    chosen = _Options(*options)
    n = maps.shape[0]
    return (
        maps.new_empty((n, 4), dtype=torch.float32),
        maps.new_empty(n, dtype=torch.float64 if chosen.polygon else torch.int64),
        maps.new_empty(n, dtype=torch.float32),
        maps.new_empty(
            (n if chosen.with_maps else 0, height, width), dtype=torch.uint8 if chosen.quantize else torch.float32
        ),
        maps.new_empty((n if chosen.with_masks else 0, height, width), dtype=torch.bool),
    )


def _any_device(maps: Tensor, height: int, width: int, *options: Any) -> _Found:  # noqa: ANN401
    chosen = _Options(*options)
    packed, thresholds, _, full = binarize(maps, height, width, *chosen[:5], chosen.with_maps)
    boxes, areas = largest(packed, width, chosen.polygon, chosen.connectivity)
    empty = (boxes[:, 2] == 0)[:, None]
    if chosen.clipped:
        boxes = torch.minimum(boxes, boxes.new_tensor([width, height, width - 1, height - 1]))
    if chosen.whole_image:
        boxes = torch.where(empty, boxes.new_tensor([0, 0, width, height]), boxes)
    masks = unpack(packed if chosen.with_masks else packed[:0], width)
    return boxes, areas, thresholds, full, masks


def _cpu(maps: Tensor, height: int, width: int, *options: Any) -> _Found:  # noqa: ANN401
    chosen = _Options(*options)
    small = maps.to(torch.float32).contiguous()
    found = boxes, areas, thresholds, full, masks = _empty(maps, height, width, *options)
    core.locate(
        small.data_ptr(),
        len(small),
        (small.shape[1], small.shape[2]),
        (height, width),
        chosen.interpolation == "bicubic",
        _NORMALIZE[chosen.normalize],
        *chosen[2:9],
        boxes.data_ptr(),
        areas.data_ptr(),
        thresholds.data_ptr(),
        full.data_ptr(),
        masks.data_ptr(),
        torch.get_num_threads(),
    )
    return found


torch.library.register_fake("fastcam::locate", _empty)
_library.impl("locate", _any_device, "CompositeExplicitAutograd")
if core is not None:
    _library.impl("locate", _cpu, "CPU")
locate = torch.ops.fastcam.locate.default
