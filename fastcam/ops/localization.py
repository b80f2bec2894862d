"""``fastcam::locate``, from maps to boxes (Eq. 3, 6); ``fastcam::localize``, from features to boxes at once."""

from __future__ import annotations

import functools
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from fastcam.ops.activation import call_on_features, cam, shape_of_maps
from fastcam.ops.core import core
from fastcam.ops.masks import binarize
from fastcam.ops.regions import largest, unpack
from fastcam.protocol import Interpolation, Normalization

__all__ = ["localize", "locate"]

_library = torch.library.Library("fastcam", "FRAGMENT")
_OPTIONS: Final = (
    "int height, int width, str interpolation, str normalize, bool quantize, float percentile, float threshold,"
    " bool polygon, int connectivity, bool clipped, bool whole_image, bool with_maps, bool with_masks)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor)"
)
_tags = (torch.Tag.pt2_compliant_tag,)
_library.define(f"locate(Tensor maps, {_OPTIONS}", tags=_tags)
_library.define(
    f"localize(Tensor features, Tensor weight, Tensor? index, bool clamp_negative, {_OPTIONS}",
    tags=_tags,
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
    return _room(maps, maps.shape[0], height, width, _Options(*options))


def _room(maps: Tensor, n: int, height: int, width: int, chosen: _Options) -> _Found:
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


@functools.lru_cache
def _for_core(chosen: _Options, clamp_negative: bool = False) -> Any:  # noqa: ANN401
    return core.Protocol(
        clamp_negative=clamp_negative,
        interpolation=chosen.interpolation,
        normalize=chosen.normalize,
        quantize=chosen.quantize,
        percentile=chosen.percentile,
        threshold=chosen.threshold,
        area="polygon" if chosen.polygon else "pixels",
        connectivity=chosen.connectivity,
        box_end="clipped" if chosen.clipped else "exclusive",
        empty="image" if chosen.whole_image else "zeros",
    )


def _cpu(maps: Tensor, height: int, width: int, *options: Any) -> _Found:  # noqa: ANN401
    chosen = _Options(*options)
    small = maps.to(torch.float32).contiguous()
    found = _room(maps, len(small), height, width, chosen)
    core.locate(
        small.data_ptr(),
        len(small),
        (small.shape[1], small.shape[2]),
        (height, width),
        _for_core(chosen),
        *(part.data_ptr() for part in found),
        torch.get_num_threads(),
    )
    return found


def _localize_empty(
    features: Tensor,
    weight: Tensor,
    index: Tensor | None,
    clamp_negative: bool,  # noqa: ARG001
    height: int,
    width: int,
    *options: Any,  # noqa: ANN401
) -> _Found:
    return _room(features, shape_of_maps(weight, index).numel(), height, width, _Options(*options))


def _localize_any_device(
    features: Tensor,
    weight: Tensor,
    index: Tensor | None,
    clamp_negative: bool,
    height: int,
    width: int,
    *options: Any,  # noqa: ANN401
) -> _Found:
    maps = cam(features, weight, index, clamp_negative)
    found: _Found = locate(maps.reshape(-1, *maps.shape[-2:]), height, width, *options)
    return found


def _localize_cpu(
    features: Tensor,
    weight: Tensor,
    index: Tensor | None,
    clamp_negative: bool,
    height: int,
    width: int,
    *options: Any,  # noqa: ANN401
) -> _Found:
    chosen = _Options(*options)
    found = _room(features, shape_of_maps(weight, index).numel(), height, width, chosen)
    call_on_features(
        core.localize,
        features,
        weight,
        index,
        (height, width),
        _for_core(chosen, clamp_negative),
        *(part.data_ptr() for part in found),
        torch.get_num_threads(),
    )
    return found


torch.library.register_fake("fastcam::locate", _empty)
_library.impl("locate", _any_device, "CompositeExplicitAutograd")
if core is not None:
    _library.impl("locate", _cpu, "CPU")
locate = torch.ops.fastcam.locate.default

torch.library.register_fake("fastcam::localize", _localize_empty)
_library.impl("localize", _localize_any_device, "CompositeExplicitAutograd")
if core is not None:
    _library.impl("localize", _localize_cpu, "CPU")
localize = torch.ops.fastcam.localize.default
