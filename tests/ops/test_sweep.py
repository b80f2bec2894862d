"""The operator that sweeps all thresholds, and the promises that PyTorch's machinery relies on."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from cases import adversarial_masks, smooth_maps, truth_boxes

from fastcam.ops.sweep import sweep_levels
from fastcam.reference import sweep as reference

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def truth_of(boxes):
    return torch.from_numpy(np.concatenate(boxes)).double(), torch.tensor([len(one) for one in boxes]).cumsum(0)


def some_levels(count, size, seed):
    """Smooth levels and noise of few and of many levels, (count, H, W)."""
    rng = np.random.default_rng(seed)
    maps = [torch.from_numpy(rng.integers(0, high, size)).to(torch.uint8) for high in (2, 5, 256)]
    smooth = smooth_maps(count - len(maps), size, seed).clamp(0, 1)
    return torch.cat((torch.stack(maps), (smooth * 255).to(torch.uint8)))


@cache  # the same for every instruction set
def swept_by_the_reference(size):
    levels, boxes = some_levels(5, size, 0), truth_boxes(5, 1, size)
    return (
        levels,
        boxes,
        [reference.sweep(one.numpy(), truth.astype(float)) for one, truth in zip(levels, boxes, strict=True)],
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (13, 17), (12, 66)], ids=str)
def test_the_sweep_is_that_of_the_reference(size, instruction_set):  # noqa: ARG001
    levels, boxes, wanted = swept_by_the_reference(size)
    overlaps, overlaps_of_any, largest = sweep_levels(levels, *truth_of(boxes), True, True)
    for i, (of_largest, of_any, box) in enumerate(wanted):
        assert overlaps[i].tolist() == of_largest.tolist()
        assert overlaps_of_any[i].tolist() == of_any.tolist()
        assert largest[i].tolist() == box.tolist()


def test_masks_of_every_shape_are_swept_as_by_the_reference():
    masks = adversarial_masks(21, 34)
    levels = torch.stack([torch.from_numpy(mask * np.uint8(200)) for mask in masks.values()])
    boxes = truth_boxes(len(levels), 2, (21, 34))
    found = sweep_levels(levels, *truth_of(boxes), True, True)
    for i, name in enumerate(masks):
        wanted = reference.sweep(levels[i].numpy(), boxes[i].astype(float))
        for ours, theirs in zip((found[0], found[1], found[2]), wanted, strict=True):
            assert ours[i].tolist() == theirs.tolist(), name


def test_what_is_not_wanted_is_empty_and_changes_nothing():
    levels, truth = some_levels(5, (20, 30), 3), truth_of(truth_boxes(5, 3, (20, 30)))
    both = sweep_levels(levels, *truth, True, True)
    one = sweep_levels(levels, *truth, True, False)
    every = sweep_levels(levels, *truth, False, True)
    assert torch.equal(one[0], both[0])
    assert torch.equal(one[2], both[2])
    assert torch.equal(every[1], both[1])
    assert [len(tensor) for tensor in (one[1], every[0], every[2])] == [0, 0, 0]


def test_strides_threads_and_the_batch_change_nothing(restored_threads):  # noqa: ARG001
    levels, boxes = some_levels(9, (40, 50), 4), truth_boxes(9, 4, (40, 50))
    whole = sweep_levels(levels, *truth_of(boxes), True, True)
    torch.set_num_threads(3)
    strided = levels.transpose(1, 2).contiguous().transpose(1, 2)
    for found in (
        sweep_levels(levels, *truth_of(boxes), True, True),
        sweep_levels(strided, *truth_of(boxes), True, True),
    ):
        assert all(map(torch.equal, found, whole))
    alone = sweep_levels(levels[4:5], *truth_of(boxes[4:5]), True, True)
    assert all(torch.equal(a[0], b[4]) for a, b in zip(alone, whole, strict=True))


def test_no_maps():
    nothing = sweep_levels(
        torch.zeros(0, 4, 4, dtype=torch.uint8), torch.zeros(0, 4).double(), torch.zeros(0).long(), True, True
    )
    assert [tuple(tensor.shape) for tensor in nothing] == [(0, 256), (0, 256), (0, 256, 4)]


def test_opcheck():
    levels, truth = some_levels(4, (6, 7), 5), truth_of(truth_boxes(4, 5, (6, 7)))
    for wanted in ((True, True), (True, False), (False, True)):
        torch.library.opcheck(sweep_levels, (levels, *truth, *wanted))
