"""How large things may be: what cannot be held is refused, with its limit, at every door alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import fastcam
from fastcam import metrics
from fastcam.boxes import resize_boxes

SIDE = 2**24  # the last whole number up to which float32 holds all
LONG = SIDE + 1


def row(width, dtype=torch.uint8):
    """A row of pixels in the memory of one."""
    return torch.ones(1, dtype=dtype).expand(1, 1, width)


DOORS = {
    "plain masks": lambda: fastcam.boxes_from_masks(row(LONG)),
    "all components": lambda: fastcam.boxes_from_masks(row(LONG), keep="all"),
    "packed masks": lambda: fastcam.PackedMasks(torch.zeros(1, 1, 2**18 + 1, dtype=torch.int64), (1, LONG)),
    "columns": lambda: fastcam.PackedMasks(torch.zeros(1, 1, 1, dtype=torch.int64).expand(1, LONG, 1), (LONG, 1)),
    "maps of their own size": lambda: fastcam.boxes_from_maps(row(LONG, torch.float32)),
    "maps": lambda: fastcam.boxes_from_maps(torch.ones(1, 2, 2), size=(1, LONG)),
    "features": lambda: fastcam.localize(torch.ones(1, 1, 2, 2), torch.ones(1, 1), [0], size=(LONG, 1)),
    "a size an image": lambda: fastcam.localize(torch.ones(1, 1, 2, 2), torch.ones(1, 1), [0], size=[(LONG, 1)]),
    "features of a long side": lambda: fastcam.cam(row(LONG, torch.float32)[None], torch.ones(1, 1), [0]),
    "score maps": lambda: metrics.sweep(torch.ones(1, 2, 2), [[[0, 0, 1, 1]]], size=(1, LONG)),
    "boxes": lambda: resize_boxes(torch.ones(1, 4), (1, LONG), (4, 4)),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_side_beyond_what_float32_holds_is_refused(door):
    with pytest.raises(ValueError, match=r"2\^24|65535"):
        DOORS[door]()


def test_the_longest_side_is_exact():
    mask = torch.zeros(1, 1, SIDE, dtype=torch.bool)
    mask[..., -2:] = True
    for given in (mask, fastcam.PackedMasks.pack(mask)):
        found = fastcam.boxes_from_masks(given)
        assert found.boxes.long().tolist() == [[SIDE - 2, 0, SIDE, 1]]
        assert found.areas.tolist() == [2]


@pytest.mark.parametrize("side", [2**20, 2**17])
def test_too_many_pixels_are_refused(side):
    with pytest.raises(ValueError, match=r"2\^30 pixels in all"):
        fastcam.boxes_from_maps(torch.ones(1).expand(1, side, side))
    with pytest.raises(ValueError, match=r"2\^32 pixels in all"):
        fastcam.PackedMasks(torch.zeros(1, 1, 1, dtype=torch.int64).expand(1, side, side // 64), (side, side))


@pytest.mark.long
@pytest.mark.parametrize("area", ["pixels", "polygon"])
@pytest.mark.parametrize("keep", ["largest", "all"])
@pytest.mark.parametrize("connectivity", [4, 8])
def test_an_object_of_more_than_two_to_the_31_pixels(area, keep, connectivity):
    side = 46_341  # 2.2 GB
    masks = np.ones((1, side, side), np.uint8)
    found = fastcam.boxes_from_masks(torch.from_numpy(masks), area=area, keep=keep, connectivity=connectivity)
    assert found.boxes.tolist() == [[0, 0, side, side]]
    assert found.areas.tolist() == [side * side if area == "pixels" else (side - 1) ** 2]


@pytest.mark.long
def test_a_component_with_two_to_the_24_holes_is_measured_with_them():
    # A grid of 4096 squared holes, of area 8192 squared, and a block of 5999 by 8192, more than the grid without holes.
    levels = torch.zeros(1, 8193, 8195 + 6000)
    levels[0, :, :8193] = 1
    levels[0, 1::2, 1:8193:2] = 0
    levels[0, :, 8195:] = 1
    swept = metrics.sweep(levels, [[[0, 0, 5, 5]]], multi_contour=False)
    assert swept.boxes[0, 0].tolist() == [0, 0, 8193, 8192]
