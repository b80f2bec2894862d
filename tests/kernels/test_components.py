"""Connected components as the kernels find them: largest and all, pixels and polygons.

The interpreter takes longer over a mask than over its pixels, so small masks are laid out side by side in large ones.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from cases import adversarial_masks, mask_shapes, random_masks
from fastcam.kernels import components as kernel

from fastcam.ops import components as ops
from fastcam.ops.masks import pack
from fastcam.reference import components as reference

OPTIONS = list(product(("pixels", "polygon"), (4, 8)))


def packed(masks, device):
    """Masks (N, H, W) as words, every other one with bits beyond the width, which nobody may read."""
    height, width = masks.shape[1:]
    words = pack(torch.from_numpy(masks))
    words[1::2] |= pack(torch.ones(1, height, words.shape[2] * 64)) ^ pack(torch.ones(1, height, width))
    return words.to(device)


def largest(masks, area, connectivity, device):
    """The box and the area of each mask's largest component, (N, 5)."""
    boxes, areas = ops._cuda(packed(masks, device), masks.shape[2], area, connectivity)
    assert areas.dtype == (torch.float64 if area == "polygon" else torch.int64)
    return torch.cat((boxes.double(), areas.double()[:, None]), 1).tolist()


def every(masks, area, connectivity, device):
    """The mask's number, the box and the area of each component, (M, 6)."""
    boxes, areas, numbers = ops._all_by_kernels(packed(masks, device), masks.shape[2], area, connectivity)
    return torch.cat((numbers.double()[:, None], boxes.double(), areas.double()[:, None]), 1).tolist()


def row_of(component, area):
    """Box and area of a component of the reference."""
    c = component
    return [c.x0, c.y0, c.x1, c.y1, getattr(c, area)] if c else [0] * 5


def families(shape, seeds):
    """Masks of all families and a shape."""
    return [mask for seed in seeds for mask in {**adversarial_masks(*shape), **random_masks(*shape, seed)}.values()]


def mosaic(masks, across):
    """Masks of one shape in rows of so many, a pixel apart; and the (x, y) of each one's corner."""
    height, width = masks[0].shape
    whole = np.zeros((-(-len(masks) // across) * (height + 1), across * (width + 1)), bool)
    corners = [(i % across * (width + 1), i // across * (height + 1)) for i in range(len(masks))]
    for (x, y), mask in zip(corners, masks, strict=True):
        whole[y : y + height, x : x + width] = mask
    return whole, corners


def compare_in_mosaic(masks, across, device):
    """All components of all masks, laid out in one, with both kinds of area and of connectivity, and the largest."""
    whole, corners = mosaic(masks, across)
    for connectivity in (4, 8):
        found = [
            (x, y, c)
            for (x, y), mask in zip(corners, masks, strict=True)
            for c in reference.components(mask, connectivity)
        ]
        for area in ("pixels", "polygon"):
            wanted = sorted([0, c.x0 + x, c.y0 + y, c.x1 + x, c.y1 + y, getattr(c, area)] for x, y, c in found)
            rows = every(whole[None], area, connectivity, device)
            assert sorted(rows) == wanted
            most = max(row[5] for row in rows)
            # In the raster order of first pixels: of equal pixels the first counts, of equal polygons the last.
            ties = [row[1:] for row in rows if row[5] == most]
            assert largest(whole[None], area, connectivity, device) == [ties[-1 if area == "polygon" else 0]]


@pytest.fixture
def large_tiles(device, monkeypatch):
    """In the interpreter a tile costs about the same whatever its size."""
    if device.type == "cpu":
        monkeypatch.setattr(kernel, "_T", 1 << 15)
        monkeypatch.setattr(kernel, "_R", 1 << 15)
        monkeypatch.setattr(kernel, "_CAPACITY", 1 << 16)


@pytest.mark.usefixtures("large_tiles")
@pytest.mark.parametrize("shape", [(9, 15), (13, 31)], ids=str)
def test_every_component_of_every_family(shape, device):
    compare_in_mosaic(families(shape, [0]), 12, device)


@pytest.mark.parametrize(("area", "connectivity"), OPTIONS)
@pytest.mark.parametrize("shape", [(6, 33), (1, 40)], ids=str)
def test_several_masks_in_small_tiles_most_of_them_with_too_many_runs(shape, area, connectivity, device, monkeypatch):
    for name, value in (("_T", 16), ("_R", 32), ("_CAPACITY", 8), ("_PROGRAMS", 3), ("_LATE_PROGRAMS", 2)):
        monkeypatch.setattr(kernel, name, value)
    masks = np.stack(families(shape, [0])[::9])
    found = [reference.components(mask, connectivity) for mask in masks]
    best = [reference.largest(mask, area, connectivity) for mask in masks]
    assert largest(masks, area, connectivity, device) == [row_of(c, area) for c in best]
    wanted = [[i, *row_of(c, area)] for i, of_mask in enumerate(found) for c in of_mask]
    assert every(masks, area, connectivity, device) == wanted


@pytest.mark.parametrize(("area", "wanted"), [("pixels", [0, 0, 3, 3, 8]), ("polygon", [4, 4, 7, 7, 4.0])])
def test_of_equal_ones_the_first_or_the_last(area, wanted, device):
    mask = np.zeros((8, 40), bool)
    mask[0:3, 0:3] = mask[0:3, 30:33] = mask[4:7, 4:7] = True
    mask[1, 1] = mask[1, 31] = mask[5, 5] = False  # a hole counts to the polygon
    assert largest(mask[None], area, 8, device) == [wanted]


def test_nothing_to_find(device):
    assert largest(np.zeros((2, 5, 33), bool), "pixels", 8, device) == [[0] * 5] * 2
    assert every(np.zeros((2, 5, 33), bool), "polygon", 8, device) == []
    assert largest(np.zeros((0, 5, 33), bool), "polygon", 8, device) == []
    assert every(np.zeros((0, 5, 33), bool), "pixels", 8, device) == []


def outer_contours(cv2, mask):
    """Box and polygon area of each component, by OpenCV."""
    contours, levels = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    outer = [one for one, level in zip(contours, levels[0], strict=True) if level[3] < 0]
    boxes = [cv2.boundingRect(one) for one in outer]
    return [[0, x, y, x + w, y + h, cv2.contourArea(one)] for (x, y, w, h), one in zip(boxes, outer, strict=True)]


def pixel_counts(cv2, mask, connectivity):
    """Box and pixels of each component, by OpenCV."""
    stats = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=connectivity)[2][1:].tolist()
    return [[0, x, y, x + w, y + h, pixels] for x, y, w, h, pixels in stats]


def compare_with_opencv(cv2, masks, across, device):
    whole, _ = mosaic(masks, across)
    assert sorted(every(whole[None], "polygon", 8, device)) == sorted(outer_contours(cv2, whole))
    for connectivity in (4, 8):
        found = every(whole[None], "pixels", connectivity, device)
        assert sorted(found) == sorted(pixel_counts(cv2, whole, connectivity))


@pytest.mark.usefixtures("large_tiles")
def test_five_hundred_masks_are_those_of_opencv(device):
    masks = families((16, 16), range(16))
    compare_with_opencv(pytest.importorskip("cv2"), masks[:500], 25, device)


@pytest.mark.long
@pytest.mark.usefixtures("large_tiles")
def test_five_thousand_masks_are_those_of_the_reference(device):
    compared = 0
    for shape in (*mask_shapes(), (17, 23), (12, 12), (30, 9)):
        masks = families(shape, range(12))
        compare_in_mosaic(masks, max(1, 600 // (shape[1] + 1)), device)
        compared += len(masks)
    assert compared >= 5000


@pytest.mark.long
@pytest.mark.usefixtures("large_tiles")
def test_a_hundred_thousand_masks_are_those_of_opencv(device):
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    compared = 0
    for number in range(32):
        shape = tuple(rng.integers(5, 20, 2).tolist())
        masks = families(shape, range(100 * number, 100 * number + 100))
        compare_with_opencv(cv2, masks, 50, device)
        compared += len(masks)
    assert compared >= 100_000
