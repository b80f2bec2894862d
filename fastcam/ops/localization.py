"""``fastcam::locate``, from maps to boxes (Eq. 3, 6); ``fastcam::localize``, from features to boxes at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor

from fastcam.ops.activation import check_sums, count_of_maps, features_for_core, flat_maps, rows_for_core
from fastcam.ops.arguments import check_maps
from fastcam.ops.components import fit_kernels, largest
from fastcam.ops.core import core
from fastcam.ops.eager import is_eager
from fastcam.ops.masks import binarize, unpack
from fastcam.ops.objects import localize_all, locate_all, with_ends
from fastcam.ops.objects_by_kernels import values_with
from fastcam.ops.options import core_protocol, protocol_of
from fastcam.ops.results import ARGUMENTS, boxes_and_areas, parts_of_maps
from fastcam.ops.tags import TAGS, TAGS_OF_WAITING
from fastcam.protocol import Protocol

__all__ = ["localize", "localize_by", "locate", "locate_by"]

_library = torch.library.Library("fastcam", "FRAGMENT")
_RESULTS = "(Tensor boxes, Tensor areas, Tensor thresholds, Tensor maps, Tensor masks)"
# Each operator has two names: tags are of a name, and whether the host waits on a GPU depends on size and protocol.
_TAGS: Final = {"": TAGS, "_waiting": TAGS_OF_WAITING}
for _end, _tags in _TAGS.items():
    _library.define(f"locate{_end}(Tensor maps, {ARGUMENTS}) -> {_RESULTS}", tags=_tags)
    _library.define(
        f"localize{_end}(Tensor features, Tensor weight, Tensor? index, {ARGUMENTS}) -> {_RESULTS}", tags=_tags
    )

_Found = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def _results(like: Tensor, count: int, height: int, width: int, *options: Any) -> _Found:  # noqa: ANN401
    """Allocate what is found in so many maps: a box in each."""
    of_maps = parts_of_maps(like, count, height, width, *options)
    return (*boxes_and_areas(like, count, protocol_of(*options[:-2]).area), *of_maps)


def _addresses(found: _Found) -> tuple[int, int, int, int, int]:
    boxes, areas, thresholds, maps, masks = (part.data_ptr() for part in found)
    return boxes, areas, thresholds, maps, masks


def _locate_empty(maps: Tensor, height: int, width: int, *options: Any) -> _Found:  # noqa: ANN401
    check_maps(maps)
    return _results(maps, maps.shape[0], height, width, *options)


def _locate_any_device(maps: Tensor, height: int, width: int, *options: Any) -> _Found:  # noqa: ANN401
    *values, with_maps, with_masks = options
    protocol = protocol_of(*values)
    if protocol.high_threshold is not None:
        return _first_boxes(
            locate_all(maps, height, width, *_of_one(protocol), with_maps, with_masks), height, width, protocol
        )
    packed, thresholds, full = binarize(maps, height, width, *values, with_maps)
    boxes, areas = largest(packed, width, protocol.area, protocol.connectivity)
    boxes = with_ends(boxes, height, width, protocol)
    masks = unpack(packed, width).contiguous() if with_masks else packed.new_empty((0, height, width), dtype=torch.bool)
    return boxes, areas, thresholds, full, masks


def _of_one(protocol: Protocol) -> tuple[Any, ...]:
    """The values of a protocol that finds the largest component alone, as one of all."""
    return values_with(protocol, keep="all", scores="peak", order="largest", min_area=0.0, max_boxes=1)


def _first_boxes(every: tuple[Tensor, ...], height: int, width: int, protocol: Protocol) -> _Found:
    """Of at most one box a map, that of each map: the protocol's empty box where there is none."""
    boxes, areas, _, numbers, thresholds, maps, masks = every
    of_maps = boxes.new_zeros((len(thresholds), 4))
    of_maps = with_ends(of_maps, height, width, protocol).index_copy(0, numbers, boxes)
    return of_maps, areas.new_zeros(len(thresholds)).index_copy(0, numbers, areas), thresholds, maps, masks


def _locate_cpu(maps: Tensor, height: int, width: int, *options: Any) -> _Found:  # noqa: ANN401
    check_maps(maps)
    if maps.dtype == torch.float64 or protocol_of(*options[:-2]).high_threshold is not None:
        # The core works in float32, and looks for peaks where it looks for all boxes.
        return _locate_any_device(maps, height, width, *options)
    small = maps.to(torch.float32).contiguous()
    found = _results(small, small.shape[0], height, width, *options)
    core.locate(
        small.data_ptr(),
        small.shape[0],
        (small.shape[1], small.shape[2]),
        (height, width),
        core_protocol(*options[:-2]),
        *_addresses(found),
        torch.get_num_threads(),
    )
    return found


def _localize_empty(
    features: Tensor,
    weight: Tensor,
    index: Tensor | None,
    height: int,
    width: int,
    *options: Any,  # noqa: ANN401
) -> _Found:
    check_sums(features, weight, index)
    return _results(features, count_of_maps(weight, index), height, width, *options)


def _localize_any_device(
    features: Tensor,
    weight: Tensor,
    index: Tensor | None,
    height: int,
    width: int,
    *options: Any,  # noqa: ANN401
) -> _Found:
    maps = flat_maps(features, weight, index, protocol_of(*options[:-2]).clamp_negative)
    found: _Found = locate(maps, height, width, *options)
    return found


def _localize_cpu(
    features: Tensor,
    weight: Tensor,
    index: Tensor | None,
    height: int,
    width: int,
    *options: Any,  # noqa: ANN401
) -> _Found:
    protocol = protocol_of(*options[:-2])
    if features is not None and features.dtype == torch.float64:  # None is refused below
        return _localize_any_device(features, weight, index, height, width, *options)
    if protocol.high_threshold is not None:
        every = localize_all(features, weight, index, height, width, *_of_one(protocol), *options[-2:])
        return _first_boxes(every, height, width, protocol)
    found = _localize_empty(features, weight, index, height, width, *options)
    rows, chosen = rows_for_core(features, weight, index)
    core.localize(
        *features_for_core(features, rows, chosen),
        (height, width),
        core_protocol(*options[:-2]),
        *_addresses(found),
        torch.get_num_threads(),
    )
    return found


for _end in _TAGS:
    torch.library.register_fake(f"fastcam::locate{_end}", _locate_empty)
    _library.impl(f"locate{_end}", _locate_any_device, "CompositeExplicitAutograd")
    torch.library.register_fake(f"fastcam::localize{_end}", _localize_empty)
    _library.impl(f"localize{_end}", _localize_any_device, "CompositeExplicitAutograd")
    if core is not None:
        _library.impl(f"locate{_end}", _locate_cpu, "CPU")
        _library.impl(f"localize{_end}", _localize_cpu, "CPU")
locate = torch.ops.fastcam.locate.default
localize = torch.ops.fastcam.localize.default
_locate_waiting = torch.ops.fastcam.locate_waiting.default
_localize_waiting = torch.ops.fastcam.localize_waiting.default


def locate_by(protocol: Protocol, height: int, width: int, maps: Tensor) -> Callable[..., _Found]:
    """Return the operator ``locate`` whose tags say whether the host waits on a GPU for such masks.

    Where the call is nobody else's business, what the operator would come to.
    """
    if is_eager(maps):
        return _locate_cpu
    return _locate_waiting if _waits(protocol, height, width) else locate


def localize_by(
    protocol: Protocol, height: int, width: int, features: Tensor, weight: Tensor, index: Tensor | None
) -> Callable[..., _Found]:
    """Return the same of ``localize``."""
    if is_eager(features, weight, index):
        return _localize_cpu
    return _localize_waiting if _waits(protocol, height, width) else localize


def _waits(protocol: Protocol, height: int, width: int) -> bool:
    # What is most stable is found on the host, and the peaks of hysteresis are those of all boxes.
    by_host = protocol.threshold == "stable" or protocol.high_threshold is not None
    return by_host or not fit_kernels(height, width)
