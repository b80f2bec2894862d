"""``fastcam::sweep_levels``, the best boxes of score maps at every threshold at once."""

from __future__ import annotations

import torch
from torch import Tensor

from fastcam.ops.arguments import check_ends, check_sweep
from fastcam.ops.core import core
from fastcam.ops.tags import TAGS_OF_WAITING
from fastcam.reference import sweep as reference

__all__ = ["LEVELS", "sweep_levels"]

LEVELS = reference.LEVELS

_library = torch.library.Library("fastcam", "FRAGMENT")
_library.define(
    "sweep_levels(Tensor levels, Tensor boxes, Tensor ends, bool with_largest, bool with_any)"
    " -> (Tensor, Tensor, Tensor)",
    tags=TAGS_OF_WAITING,
)

_Swept = tuple[Tensor, Tensor, Tensor]


def _empty(levels: Tensor, boxes: Tensor, ends: Tensor, with_largest: bool, with_any: bool) -> _Swept:
    check_sweep(levels, boxes, ends)
    n, m = (levels.shape[0] if wanted else 0 for wanted in (with_largest, with_any))
    return (
        levels.new_empty((n, LEVELS), dtype=torch.float64),
        levels.new_empty((m, LEVELS), dtype=torch.float64),
        levels.new_empty((n, LEVELS, 4), dtype=torch.int32),
    )


def _reference(levels: Tensor, boxes: Tensor, ends: Tensor, with_largest: bool, with_any: bool) -> _Swept:
    found = overlaps, overlaps_of_any, largest = _empty(levels, boxes, ends, with_largest, with_any)
    check_ends(boxes, ends)
    begin = 0
    for i, end in enumerate(ends.tolist()):
        by_level = reference.sweep(levels[i].numpy(), boxes[begin:end].numpy())
        one, any_one, box = map(torch.from_numpy, by_level)
        if with_largest:
            overlaps[i], largest[i] = one, box
        if with_any:
            overlaps_of_any[i] = any_one
        begin = end
    return found


def _cpu(levels: Tensor, boxes: Tensor, ends: Tensor, with_largest: bool, with_any: bool) -> _Swept:
    found = overlaps, overlaps_of_any, largest = _empty(levels, boxes, ends, with_largest, with_any)
    check_ends(boxes, ends)
    levels, boxes, ends = levels.contiguous(), boxes.contiguous(), ends.contiguous()
    core.sweep(
        levels.data_ptr(),
        levels.shape[0],
        levels.shape[1],
        levels.shape[2],
        boxes.data_ptr(),
        ends.data_ptr(),
        overlaps.data_ptr(),
        largest.data_ptr(),
        overlaps_of_any.data_ptr(),
        torch.get_num_threads(),
    )
    return found


def _any_device(levels: Tensor, boxes: Tensor, ends: Tensor, with_largest: bool, with_any: bool) -> _Swept:
    """Of uint8 ``levels`` (N, H, W), with the ground truth (M, 4) float64 of image i in rows ends[i - 1] to ends[i].

    Returns, where wanted, the best IoU of the largest contour (N, 256) and of any contour (N, 256) float64, and the
    largest contour's box (N, 256, 4) int32, at every threshold 0 to 255.
    """
    check_sweep(levels, boxes, ends)
    run = _reference if core is None else _cpu
    found = run(levels.cpu(), boxes.cpu(), ends.cpu(), with_largest, with_any)
    overlaps, overlaps_of_any, largest = (one.to(levels.device) for one in found)
    return overlaps, overlaps_of_any, largest


torch.library.register_fake("fastcam::sweep_levels", _empty)
_library.impl("sweep_levels", _any_device, "CompositeExplicitAutograd")
if core is not None:
    _library.impl("sweep_levels", _cpu, "CPU")
sweep_levels = torch.ops.fastcam.sweep_levels.default
