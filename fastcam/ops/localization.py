"""``fastcam::locate``, from maps to boxes (Eq. 3, 6)."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from fastcam import reference
from fastcam.ops.core import core
from fastcam.ops.regions import largest

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


def _empty(
    maps: Tensor,
    height: int,
    width: int,
    interpolation: str,  # noqa: ARG001
    normalize: str,  # noqa: ARG001
    quantize: bool,
    percentile: float,  # noqa: ARG001
    threshold: float,  # noqa: ARG001
    polygon: bool,
    connectivity: int,  # noqa: ARG001
    clipped: bool,  # noqa: ARG001
    whole_image: bool,  # noqa: ARG001
    with_maps: bool,
    with_masks: bool,
) -> _Found:
    n = maps.shape[0]
    return (
        maps.new_empty((n, 4), dtype=torch.float32),
        maps.new_empty(n, dtype=torch.float64 if polygon else torch.int64),
        maps.new_empty(n, dtype=torch.float32),
        maps.new_empty((n if with_maps else 0, height, width), dtype=torch.uint8 if quantize else torch.float32),
        maps.new_empty((n if with_masks else 0, height, width), dtype=torch.bool),
    )


def _any_device(
    maps: Tensor,
    height: int,
    width: int,
    interpolation: str,
    normalize: str,
    quantize: bool,
    percentile: float,
    threshold: float,
    polygon: bool,
    connectivity: int,
    clipped: bool,
    whole_image: bool,
    with_maps: bool,
    with_masks: bool,
) -> _Found:
    full, thresholds, masks = reference.activation.kept(
        maps,
        (height, width),
        interpolation=interpolation,  # type: ignore[arg-type]
        normalization=normalize,  # type: ignore[arg-type]
        quantize=quantize,
        q=percentile,
        threshold=threshold,
    )
    boxes, areas = largest(masks.to(torch.uint8), width, polygon, connectivity)
    empty = (boxes[:, 2] == 0)[:, None]
    if clipped:
        boxes = torch.minimum(boxes, boxes.new_tensor([width, height, width - 1, height - 1]))
    if whole_image:
        boxes = torch.where(empty, boxes.new_tensor([0, 0, width, height]), boxes)
    return boxes, areas, thresholds, full if with_maps else full[:0].clone(), masks if with_masks else masks[:0].clone()


def _cpu(
    maps: Tensor,
    height: int,
    width: int,
    interpolation: str,
    normalize: str,
    quantize: bool,
    percentile: float,
    threshold: float,
    polygon: bool,
    connectivity: int,
    clipped: bool,
    whole_image: bool,
    with_maps: bool,
    with_masks: bool,
) -> _Found:
    n, *shape = maps.shape
    small = maps.to(torch.float32).contiguous()
    options = interpolation, normalize, quantize, percentile, threshold, polygon, connectivity, clipped, whole_image
    found = boxes, areas, thresholds, full, masks = _empty(maps, height, width, *options, with_maps, with_masks)
    core.locate(
        small.data_ptr(),
        n,
        (shape[0], shape[1]),
        (height, width),
        interpolation == "bicubic",
        _NORMALIZE[normalize],
        *options[2:],
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
