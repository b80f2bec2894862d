"""Boxes from masks, beside OpenCV, cc3d and SciPy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from all_box_peers import by_anomalib, nodes_by_opencv
from maps import MASKS, cell_maps, masks, packed_in_turn, uint8_in_turn
from mask_peers import ALL, EXTERNAL, LARGEST, LARGEST_4, SHORT_STATISTICS, TREE
from row import Contender, Row

import fastcam

GRID = [
    ("smooth", 1, 224),
    ("smooth", 16, 224),
    ("smooth", 64, 224),
    ("smooth", 256, 224),
    ("clean", 64, 224),
    ("noise 0.1", 64, 224),
    ("noise 0.3", 64, 224),
    ("noise 0.5", 64, 224),
    ("smooth", 64, 448),
    ("smooth", 1, 4096),
    ("noise 0.5", 1, 4096),
]
EVERYTHING = [(data, n, side) for data in MASKS for n in (1, 16, 64, 256) for side in (224, 448)]
CASES = GRID + [pytest.param(*case, marks=pytest.mark.long) for case in EVERYTHING if case not in GRID]
OTHER_TASKS = [("smooth", 64, 224), ("noise 0.5", 64, 224)]


def suitable(tools, data, side):
    """The tools that can: TREE is quadratic in the contours, and 16 bits do not number those of large noise."""
    return {
        name: tool
        for name, tool in tools.items()
        if side <= 512 or data == "smooth" or name not in (TREE, SHORT_STATISTICS)
    }


def contenders(tools, data, images, side, **options):
    """Ours on packed and on plain masks, and the tools, which take the plain ones one by one."""
    packed, plain = packed_in_turn(data, images, side), uint8_in_turn(data, images, side)

    def ours(name, turn, **more):
        return Contender(f"fastcam, {name}", "fastcam", lambda: fastcam.boxes_from_masks(next(turn), **options, **more))

    def peer(name, tool):
        return Contender(name, "peer", lambda: [tool(mask) for mask in next(plain).numpy()])

    both = [ours("packed", packed), ours("uint8", plain)]
    if not options:
        both += [ours("packed, polygon", packed, area="polygon"), ours("uint8, polygon", plain, area="polygon")]
    return both + [peer(name, tool) for name, tool in suitable(tools, data, side).items()]


def assert_same_largest(tools, some, connectivity):
    """Every tool finds our box, where the largest component is the only one of its size."""
    found = fastcam.boxes_from_masks(some, connectivity=connectivity)
    polygons = fastcam.boxes_from_masks(some, area="polygon", connectivity=connectivity)
    every = fastcam.boxes_from_masks(some, keep="all", connectivity=connectivity)
    packed = fastcam.PackedMasks.pack(some)
    assert fastcam.boxes_from_masks(packed, connectivity=connectivity).boxes.equal(found.boxes)
    for i, mask in enumerate(some.numpy()):
        alone = int((every.areas[every.image == i] == found.areas[i]).sum()) == 1
        for name, tool in tools.items():
            by_polygon = name in (TREE, EXTERNAL)
            if alone or by_polygon:
                assert list(tool(mask)) == (polygons if by_polygon else found).boxes[i].tolist(), (name, i)


def assert_same_regions(tools, some):
    """Every tool finds our boxes and areas, in whatever order."""
    found = fastcam.boxes_from_masks(some, keep="all")
    rows = np.column_stack((found.boxes.numpy(), found.areas.numpy())).astype(np.int64)
    for i, mask in enumerate(some.numpy()):
        ours = sorted(rows[found.image.numpy() == i].tolist())
        for name, tool in tools.items():
            assert sorted(tool(mask).tolist()) == ours, (name, i)


def some_masks(data, images, side):
    return next(uint8_in_turn(data, images, side))[:32]


@pytest.mark.parametrize(("data", "images", "side"), CASES)
def test_largest(data, images, side, measured):
    assert_same_largest(suitable(LARGEST, data, side), some_masks(data, images, side), 8)
    note = "" if side <= 512 or data == "smooth" else "findContours TREE would take a minute"
    entrants = contenders(LARGEST, data, images, side)
    fewest = 64 if side <= 512 else 1
    measured(Row("boxes", "largest box", data, f"{side}x{side}", images, entrants, note=note, fewest_images=fewest))


@pytest.mark.parametrize(("data", "images", "side"), OTHER_TASKS)
def test_largest_of_four_neighbours(data, images, side, measured):
    assert_same_largest(LARGEST_4, some_masks(data, images, side), 4)
    entrants = contenders(LARGEST_4, data, images, side, connectivity=4)
    measured(Row("boxes", "largest box, 4-connected", data, f"{side}x{side}", images, entrants))


@pytest.mark.parametrize(("data", "images", "side"), OTHER_TASKS)
def test_all(data, images, side, measured):
    assert_same_regions(ALL, some_masks(data, images, side))
    entrants = contenders(ALL, data, images, side, keep="all")
    measured(Row("boxes", "all boxes", data, f"{side}x{side}", images, entrants))


def full_maps(data, images):
    """Maps of 14x14 at 224x224."""
    small = cell_maps(data, images, 14)[:, None]
    return F.interpolate(small, (224, 224), mode="bilinear", align_corners=False)[:, 0].contiguous()


@pytest.mark.parametrize("data", ["smooth", "noisy"])
def test_all_of_maps(data, measured):
    maps, every = full_maps(data, 64), fastcam.PAPER.replace(keep="all")
    limits = fastcam.boxes_from_maps(maps).thresholds[:, None, None]
    found = fastcam.boxes_from_maps(maps, protocol=every)
    for i, (boxes, scores) in enumerate(zip(*by_anomalib(maps > limits, maps), strict=True)):
        own = found[i]
        ours = torch.cat([own.boxes - torch.tensor([0, 0, 1, 1]), own.scores[:, None]], 1)
        assert sorted(ours.tolist()) == sorted(torch.cat([boxes, scores[:, None]], 1).tolist())
    entrants = [
        Contender("fastcam", "fastcam", lambda: fastcam.boxes_from_maps(maps, protocol=every)),
        Contender("anomalib's loop, thresholds given", "peer", lambda: by_anomalib(maps > limits, maps)),
    ]
    measured(Row("boxes", "all boxes of maps, with scores", data, "224x224", 64, entrants))


@pytest.mark.parametrize("data", ["smooth", "noisy"])
def test_component_tree(data, measured):
    maps = full_maps(data, 16)
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    levels = ((maps - low) / (high - low) * 255).to(torch.uint8)
    tree = fastcam.box_tree(levels)
    for i in range(2):
        # The nodes that are there just below each level are the components of its mask.
        below = levels[i].unique()[1:].int() - 1
        assert sum(int((tree.image[tree.at(int(t))] == i).sum()) for t in below) == nodes_by_opencv(levels[i])
    entrants = [
        Contender("fastcam", "fastcam", lambda: fastcam.box_tree(levels)),
        Contender("fastcam, float maps", "fastcam", lambda: fastcam.box_tree(maps)),
        Contender("OpenCV, a mask for each level", "peer", lambda: [nodes_by_opencv(one) for one in levels]),
    ]
    measured(Row("boxes", "component tree", data, "224x224", 16, entrants, dtype="uint8"))


def test_smooth_masks_are_like_those_of_the_study():
    some = masks("smooth", 256, 224).numpy()
    starts = np.diff(some.astype(np.int8), axis=2, prepend=0) == 1
    components = [cv2.connectedComponents(mask, connectivity=8)[0] - 1 for mask in some]
    assert starts.sum(axis=2).mean() == pytest.approx(1.64, rel=0.2)
    assert np.mean(components) == pytest.approx(4.8, rel=0.2)
