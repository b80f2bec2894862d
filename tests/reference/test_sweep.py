"""The definition of the evaluators' boxes, against what the field's own code gave and against OpenCV."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import SWEPT, SWEPT_MULTI, adversarial_masks, random_masks, score_map, summary_of_sweep
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sweep_peers import THRESHOLDS, boxes_above
from sweep_peers import inclusive_iou as peer_iou

from fastcam.reference.score_maps import normalized, resized, to_levels
from fastcam.reference.sweep import contour_boxes, inclusive_iou, sweep

TRUTH = np.array([[60.0, 40, 190, 150]])

# tau 0, .2, .35, .5, .9 of the maps A to D at 224x224, by the evaluator of Choe et al.
LARGEST = {
    "A": [[0, 0, 223, 191], [51, 31, 223, 145], [68, 41, 204, 135], [80, 51, 192, 125], [114, 73, 158, 103]],
    "D": [[0, 0, 223, 223], [30, 51, 197, 173], [42, 65, 166, 159], [49, 76, 141, 148], [71, 98, 98, 126]],
}
BOXES_IN_ALL = {"A": 1004, "B": 1663, "C": 4560, "D": 1028}


def levels_of(name):
    return to_levels(normalized(resized(score_map(name).double()[None], (224, 224))))[0].numpy()


@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_boxes_are_those_of_the_evaluator(name):
    levels = levels_of(name)
    for tau, box in zip((0, 0.2, 0.35, 0.5, 0.9), LARGEST[name], strict=True):
        assert contour_boxes(levels > int(tau * levels.max()))[0].tolist() == box


def test_all_boxes_are_those_of_the_evaluator():
    levels = levels_of("B")
    assert [len(contour_boxes(levels > int(tau * 255))) for tau in (0, 0.2, 0.35, 0.5, 0.9)] == [1, 2, 2, 2, 1]
    assert contour_boxes(levels > 51).tolist() == [[77, 96, 223, 207], [16, 16, 97, 98]]
    assert contour_boxes(levels > 229)[0].tolist() == [45, 45, 67, 67]
    holes = [[32, 95, 93, 154], [96, 63, 157, 122], [160, 31, 192, 63]]
    found = contour_boxes(levels_of("C") > 51).tolist()
    assert len(found) == 4
    assert all(hole in found for hole in holes)


def test_edges_of_the_protocol():
    empty, full, dot = (np.zeros((224, 224), bool) for _ in range(3))
    full[:] = dot[10, 20] = True
    assert contour_boxes(empty).tolist() == [[0, 0, 0, 0]]
    assert contour_boxes(full).tolist() == [[0, 0, 223, 223]]
    assert contour_boxes(dot).tolist() == [[20, 10, 21, 11]]


@pytest.mark.parametrize("name", ["A", *(pytest.param(name, marks=pytest.mark.long) for name in "BCD")])
def test_the_sweep_is_that_of_the_evaluator(name):
    of_largest, of_any, largest = sweep(levels_of(name), TRUTH)
    at = (THRESHOLDS * 255).astype(int)
    assert summary_of_sweep(of_largest[at]) == SWEPT[name]
    assert summary_of_sweep(of_any[at]) == SWEPT_MULTI[name]
    assert (of_largest[255], largest[255].tolist()) == (0, [0, 0, 0, 0])


@pytest.mark.long
@pytest.mark.parametrize("name", "ABCD")
def test_the_boxes_are_as_many_as_those_of_the_evaluator(name):
    levels = levels_of(name)
    assert sum(len(contour_boxes(levels > cut)) for cut in (THRESHOLDS * 255).astype(int)) == BOXES_IN_ALL[name]


def compared(levels, threshold):
    """The reference's and OpenCV's boxes: the largest, and all of them in no order."""
    found = contour_boxes(levels > threshold).astype(int).tolist()
    multi = sorted(map(list, boxes_above(levels, threshold, True)))
    return (found[0], sorted(found)), (list(boxes_above(levels, threshold, False)[0]), multi)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (9, 65), (40, 33)], ids=str)
def test_contours_are_those_of_opencv(shape):
    for name, mask in {**adversarial_masks(*shape), **random_masks(*shape, seed=3)}.items():
        ours, theirs = compared(mask.astype(np.uint8), 0)
        assert ours == theirs, name


@given(npst.arrays(np.uint8, npst.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 4)))
def test_contours_of_any_small_map_are_those_of_opencv(levels):
    for threshold in range(5):
        ours, theirs = compared(levels, threshold)
        assert ours == theirs, threshold


def test_iou_is_inclusive():
    def iou(a, b):
        return inclusive_iou(np.array([a], float), np.array([b], float)).item()

    assert iou((0, 0, 9, 9), (5, 5, 14, 14)) == 1 / 7
    assert iou((1, 2, 5, 6), (3, 1, 4, 5)) == 8 / 27
    assert iou((0, 0, 0, 0), (0, 0, 0, 0)) == 1
    assert iou((0, 0, 223, 223), (50, 50, 149, 149)) == 10000 / 50176
    assert iou((0, 0, 9, 9), (20, 20, 29, 29)) == 0
    boxes = np.sort(np.random.default_rng(0).integers(0, 40, (50, 2, 2)), axis=1).reshape(-1, 4)
    assert (inclusive_iou(boxes.astype(float), boxes.astype(float)) == peer_iou(boxes, boxes)).all()


def test_an_entry_does_not_see_other_thresholds():
    levels = np.zeros((6, 6), np.uint8)
    levels[1:4, 1:4] = 7
    of_largest, of_any, largest = sweep(levels, np.array([[1.0, 1, 4, 4], [0, 0, 5, 5]]))
    assert torch.tensor(of_largest[:7]).eq(1).all()
    assert (of_any == of_largest).all()
    assert (largest[:7] == [1, 1, 4, 4]).all()
    assert (largest[7:] == 0).all()
    assert (of_largest[7:] == 1 / 36).all()
