"""``fastcam::locate_all``, from maps to the boxes of all components; ``fastcam::localize_all``, from features at once.

How many boxes there are depends on the data, so whoever calls these waits for them: on a GPU for that number alone, if
its kernels take the maps. Where there are no kernels, the small maps are copied to the CPU, and what is found is copied
back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastcam.ops.activation import check_sums, count_of_maps, features_for_core, flat_maps, rows_for_core
from fastcam.ops.arguments import check_maps, check_size_of
from fastcam.ops.components import kernels_take
from fastcam.ops.core import core
from fastcam.ops.masks import binarize, unpack
from fastcam.ops.objects_by_kernels import clipped, ragged_by_kernels
from fastcam.ops.options import core_protocol, protocol_of
from fastcam.ops.results import ARGUMENTS, OfMaps, boxes_and_areas, parts_of_maps
from fastcam.ops.tags import TAGS_OF_WAITING
from fastcam.protocol import Protocol
from fastcam.reference import objects as reference
from fastcam.reference.masks import limits, working_dtype

__all__ = ["localize_all", "locate_all", "with_ends"]

_library = torch.library.Library("fastcam", "FRAGMENT")
_RESULTS = "(Tensor boxes, Tensor areas, Tensor scores, Tensor numbers, Tensor thresholds, Tensor maps, Tensor masks)"
_library.define(f"locate_all(Tensor maps, {ARGUMENTS}) -> {_RESULTS}", tags=TAGS_OF_WAITING)
_library.define(
    f"localize_all(Tensor features, Tensor weight, Tensor? index, {ARGUMENTS}) -> {_RESULTS}",
    tags=TAGS_OF_WAITING,
)

_OfBoxes = tuple[Tensor, Tensor, Tensor, Tensor]
_Found = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
# Boxes (M, 4) float32; areas, peaks, means (M,) float64; the numbers of the maps (M,) int64.
_Columns = tuple[np.ndarray[Any, Any], ...]
_PIXELS: int = 1 << 18  # of full-size maps that are worked on together, so that memory does not grow with their number


def _results(like: Tensor, count: int, height: int, width: int, *options: Any) -> _Found:  # noqa: ANN401
    """Allocate what is found in so many maps, of as many boxes as the data will tell."""
    boxes = torch.library.get_ctx().new_dynamic_size()
    return (
        *boxes_and_areas(like, boxes, protocol_of(*options[:-2]).area),
        like.new_empty(boxes, dtype=working_dtype(like.dtype)),
        like.new_empty(boxes, dtype=torch.int64),
        *parts_of_maps(like, count, height, width, *options),
    )


def _addresses(of_maps: OfMaps) -> tuple[int, int, int]:
    thresholds, maps, masks = (part.data_ptr() for part in of_maps)
    return thresholds, maps, masks


def _chosen(columns: _Columns, protocol: Protocol, height: int, width: int, work: torch.dtype) -> _OfBoxes:
    """Those components that the protocol makes boxes of."""
    boxes, areas, peaks, means, numbers = columns
    scores = (peaks if protocol.scores == "peak" else means).astype(np.float64 if work == torch.float64 else np.float32)
    rows = reference.chosen(areas, scores, numbers, protocol)
    area_dtype = np.float64 if protocol.area == "polygon" else np.int64
    return (
        with_ends(torch.from_numpy(boxes[rows]), height, width, protocol),
        torch.from_numpy(areas[rows].astype(area_dtype, copy=False)),
        torch.from_numpy(scores[rows]),
        torch.from_numpy(numbers[rows]),
    )


def with_ends(boxes: Tensor, height: int, width: int, protocol: Protocol) -> Tensor:
    """Half-open boxes with the ends that the protocol asks for, and its box where nothing was kept."""
    with_end = clipped(boxes, height, width, protocol)
    if protocol.empty != "image":
        return with_end
    begin, x1, y1 = with_end.split([2, 1, 1], dim=1)
    empty = boxes[:, 2:3] == 0
    return torch.cat((begin, x1.masked_fill(empty, width), y1.masked_fill(empty, height)), dim=1)


def _locate_fake(maps: Tensor, height: int, width: int, *options: Any) -> _Found:  # noqa: ANN401
    check_maps(maps)
    _check_values("maps", maps)
    return _results(maps, maps.shape[0], height, width, *options)


def _locate_any_device(maps: Tensor, height: int, width: int, *options: Any) -> _Found:  # noqa: ANN401
    check_maps(maps)
    _check_values("maps", maps)
    return _sent(locate_all(maps.cpu(), height, width, *options), maps.device)


def _locate_cuda(maps: Tensor, height: int, width: int, *options: Any) -> _Found:  # noqa: ANN401
    check_maps(maps)
    check_size_of(protocol_of(*options[:-2]), height, width)
    if not kernels_take(maps.device, height, width):
        return _locate_any_device(maps, height, width, *options)
    boxes, areas, scores, numbers, *of_maps = ragged_by_kernels(maps, height, width, *options)
    thresholds, full, masks = of_maps
    return boxes, areas, scores, numbers, thresholds, full, masks


def _check_values(name: str, tensor: Tensor) -> None:
    if tensor.device.type == "meta":
        raise TypeError(f"{name} must hold values, for components to be counted, got a meta tensor")


def _sent(found: _Found, device: torch.device) -> _Found:
    boxes, areas, scores, numbers, thresholds, maps, masks = (part.to(device) for part in found)
    return boxes, areas, scores, numbers, thresholds, maps, masks


def _locate_cpu(maps: Tensor, height: int, width: int, *options: Any) -> _Found:  # noqa: ANN401
    check_maps(maps)
    *values, _, _ = options
    protocol = protocol_of(*values)
    if core is None or maps.dtype == torch.float64:
        # The core resizes in float32.
        return _locate_by_masks(maps, height, width, *options)
    small = maps.to(torch.float32).contiguous()
    of_maps = parts_of_maps(small, small.shape[0], height, width, *options)
    columns = core.locate_all(
        small.data_ptr(),
        small.shape[0],
        (small.shape[1], small.shape[2]),
        (height, width),
        core_protocol(*values),
        *_addresses(of_maps),
        torch.get_num_threads(),
    )
    return (*_chosen(columns, protocol, height, width, torch.float32), *of_maps)


def _locate_by_masks(maps: Tensor, height: int, width: int, *options: Any) -> _Found:  # noqa: ANN401
    """The same by way of full-size maps, some at a time."""
    *values, with_maps, with_masks = options
    protocol, work = protocol_of(*values), working_dtype(maps.dtype)
    out = thresholds, full, masks = parts_of_maps(maps, maps.shape[0], height, width, *options)
    together = max(1, _PIXELS // (height * width))
    pieces = []
    for first in range(0, len(maps), together):
        some = slice(first, first + together)
        packed, thresholds[some], of_some = binarize(maps[some], height, width, *values, True)
        columns = _columns(packed, of_some.to(torch.float64), protocol)
        if protocol.high_threshold is not None:
            least = limits(of_some, protocol.high_threshold, protocol).to(torch.float64).numpy()
            high = columns[2] > least[columns[4]]
            columns = tuple(column[high] for column in columns)
        pieces.append((*columns[:-1], columns[-1] + first))
        if with_maps:
            full[some] = of_some
        if with_masks:
            masks[some] = unpack(packed, width)
    if not pieces:
        pieces = [(np.zeros((0, 4), np.float32), *np.zeros((3, 0)), np.zeros(0, np.int64))]
    joined = tuple(np.concatenate(parts) for parts in zip(*pieces, strict=True))
    return (*_chosen(joined, protocol, height, width, work), *out)


def _columns(packed: Tensor, values: Tensor, protocol: Protocol) -> _Columns:
    """Every component of packed masks, with the values (N, H, W) float64 of their maps."""
    count, height, width = values.shape
    if core is not None:
        packed, values = packed.contiguous(), values.contiguous()
        of_masks = packed.data_ptr(), True, count, height, width, protocol.area, protocol.connectivity
        return core.objects_in_masks(*of_masks, values.data_ptr(), torch.get_num_threads())
    pairs = zip(values.numpy(), unpack(packed, width).numpy(), strict=True)
    every = [(i, o) for i, pair in enumerate(pairs) for o in reference.objects(*pair, protocol.connectivity)]
    found = [one.component for _, one in every]
    return (
        np.array([(c.x0, c.y0, c.x1, c.y1) for c in found], np.float32).reshape(-1, 4),
        np.array([getattr(c, protocol.area) for c in found], np.float64),
        np.array([one.peak for _, one in every]),
        np.array([one.mean for _, one in every]),
        np.array([i for i, _ in every], np.int64),
    )


def _localize_fake(
    features: Tensor,
    weight: Tensor,
    index: Tensor | None,
    height: int,
    width: int,
    *options: Any,  # noqa: ANN401
) -> _Found:
    check_sums(features, weight, index)
    _check_values("features", features)
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
    found: _Found = locate_all(maps, height, width, *options)
    return found


def _localize_cpu(
    features: Tensor,
    weight: Tensor,
    index: Tensor | None,
    height: int,
    width: int,
    *options: Any,  # noqa: ANN401
) -> _Found:
    if core is None or (features is not None and features.dtype == torch.float64):  # None is refused below
        return _localize_any_device(features, weight, index, height, width, *options)
    check_sums(features, weight, index)
    protocol = protocol_of(*options[:-2])
    of_maps = parts_of_maps(features, count_of_maps(weight, index), height, width, *options)
    rows, chosen = rows_for_core(features, weight, index)
    columns = core.localize_all(
        *features_for_core(features, rows, chosen),
        (height, width),
        core_protocol(*options[:-2]),
        *_addresses(of_maps),
        torch.get_num_threads(),
    )
    return (*_chosen(columns, protocol, height, width, torch.float32), *of_maps)


torch.library.register_fake("fastcam::locate_all", _locate_fake)
_library.impl("locate_all", _locate_any_device, "CompositeExplicitAutograd")
_library.impl("locate_all", _locate_cpu, "CPU")
_library.impl("locate_all", _locate_cuda, "CUDA")
torch.library.register_fake("fastcam::localize_all", _localize_fake)
_library.impl("localize_all", _localize_any_device, "CompositeExplicitAutograd")
_library.impl("localize_all", _localize_cpu, "CPU")
locate_all = torch.ops.fastcam.locate_all.default
localize_all = torch.ops.fastcam.localize_all.default
