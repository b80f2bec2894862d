"""The definition of connected components, against SciPy and OpenCV."""

from __future__ import annotations

import numpy as np
import pytest
from cases import adversarial_masks, mask_shapes, random_masks
from scipy import ndimage

from fastcam.reference.components import Component, components, largest

SHAPES = list(mask_shapes())


def all_masks(shape):
    return {**adversarial_masks(*shape), **random_masks(*shape, seed=1)}


def structure(connectivity):
    return np.ones((3, 3)) if connectivity == 8 else None


def by_scipy(mask, connectivity):
    """Components in the raster order of first pixels; polygon areas by filling each and looking at 2x2 windows."""
    labels, count = ndimage.label(mask, structure(connectivity))
    found = []
    for label in range(1, count + 1):
        region = labels == label
        (rows, columns), first = ndimage.find_objects(region.astype(int))[0], int(np.argmax(region))
        filled = np.pad(ndimage.binary_fill_holes(region, structure(12 - connectivity)), 1)
        windows = np.lib.stride_tricks.sliding_window_view(filled, (2, 2)).sum((2, 3))
        polygon = np.count_nonzero(windows == 4) + np.count_nonzero(windows == 3) / 2
        box = (columns.start, rows.start, columns.stop, rows.stop)
        found.append((first, Component(*box, int(region.sum()), float(polygon))))
    return [component for _, component in sorted(found, key=lambda pair: pair[0])]


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_components_are_those_of_scipy_in_raster_order(shape, connectivity):
    for name, mask in all_masks(shape).items():
        assert components(mask, connectivity) == by_scipy(mask, connectivity), name


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_boxes_and_pixel_counts_are_those_of_opencv(shape, connectivity):
    cv2 = pytest.importorskip("cv2")
    for name, mask in all_masks(shape).items():
        stats = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=connectivity)[2][1:]
        wanted = sorted((x, y, x + w, y + h, area) for x, y, w, h, area in stats.tolist() if area)
        found = sorted((c.x0, c.y0, c.x1, c.y1, c.pixels) for c in components(mask, connectivity))
        assert found == wanted, name


def contours(cv2, mask):
    return cv2.findContours(mask.astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)


def half_open(cv2, contour):
    x, y, w, h = cv2.boundingRect(contour)
    return x, y, x + w, y + h


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_polygon_areas_are_those_of_the_outer_contours(shape):
    cv2 = pytest.importorskip("cv2")
    for name, mask in all_masks(shape).items():
        found, hierarchy = contours(cv2, mask)
        wanted = []
        for i, contour in enumerate(found):
            depth, parent = 0, hierarchy[0, i, 3]
            while parent >= 0:
                depth, parent = depth + 1, hierarchy[0, parent, 3]
            if depth % 2 == 0:  # outlines and holes take turns down the tree
                wanted.append((*half_open(cv2, contour), cv2.contourArea(contour)))
        polygons = [(c.x0, c.y0, c.x1, c.y1, c.polygon) for c in components(mask)]
        assert sorted(polygons) == sorted(wanted), name


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_largest_polygon_is_the_one_that_evaluators_take(shape):
    cv2 = pytest.importorskip("cv2")
    for name, mask in all_masks(shape).items():
        best = max(contours(cv2, mask)[0], key=cv2.contourArea, default=None)
        found = largest(mask, "polygon")
        if best is None:
            assert found is None, name
        else:
            box = (found.x0, found.y0, found.x1, found.y1, found.polygon)
            assert box == (*half_open(cv2, best), cv2.contourArea(best)), name


@pytest.mark.parametrize("connectivity", [4, 8])
def test_of_equal_pixel_counts_the_first_in_raster_order_wins(connectivity):
    mask = np.zeros((5, 9), bool)
    mask[0, 6:8] = mask[2, 0:2] = mask[4, 3:5] = True
    found = largest(mask, "pixels", connectivity)
    assert (found.x0, found.y0) == (6, 0)


@pytest.mark.parametrize("connectivity", [4, 8])
def test_of_equal_polygon_areas_the_last_in_raster_order_wins(connectivity):
    mask = np.zeros((7, 9), bool)
    mask[0:2, 6:8] = mask[2:4, 0:2] = mask[5:7, 3:5] = True
    found = largest(mask, "polygon", connectivity)
    assert (found.x0, found.y0, found.polygon) == (3, 5, 1.0)


def test_lines_have_no_polygon_area():
    mask = np.zeros((4, 12), bool)
    mask[0, :10] = mask[3, 11] = True
    assert [(c.pixels, c.polygon) for c in components(mask)] == [(10, 0.0), (1, 0.0)]
    assert largest(mask, "polygon").x0 == 11


def test_what_a_component_encloses_belongs_to_its_polygon():
    mask = np.zeros((9, 9), bool)
    mask[0:9, 0:9] = True
    mask[1:8, 1:8] = False
    mask[4, 4] = True
    assert [(c.pixels, c.polygon) for c in components(mask)] == [(32, 64.0), (1, 0.0)]


def test_a_diagonal_step_joins_eight_neighbours_only():
    mask = np.eye(2, dtype=bool)
    assert [len(components(mask, connectivity)) for connectivity in (8, 4)] == [1, 2]


@pytest.mark.parametrize("area", ["pixels", "polygon"])
def test_an_empty_mask_has_no_largest_component(area):
    assert largest(np.zeros((3, 4), bool), area) is None
