"""Boxes from masks, beside OpenCV, cc3d and SciPy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from maps import MASKS, masks, packed_in_turn, uint8_in_turn
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


def test_smooth_masks_are_like_those_of_the_study():
    some = masks("smooth", 256, 224).numpy()
    starts = np.diff(some.astype(np.int8), axis=2, prepend=0) == 1
    components = [cv2.connectedComponents(mask, connectivity=8)[0] - 1 for mask in some]
    assert starts.sum(axis=2).mean() == pytest.approx(1.64, rel=0.2)
    assert np.mean(components) == pytest.approx(4.8, rel=0.2)
