"""All thresholds at once, against the evaluators' protocol written with OpenCV, for every image and threshold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import (
    SCORE_MAPS,
    SWEPT,
    SWEPT_MULTI,
    full_score_maps,
    random_masks,
    score_map,
    summary_of_sweep,
    truth_boxes,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sweep_peers import THRESHOLDS, boxes_above, hits, hits_of_distinct, inclusive_iou

from fastcam.metrics import sweep
from fastcam.ops.sweep import sweep_levels

IOUS = (0.3, 0.5, 0.7)


def our_hits(swept, multi_contour):
    """(N, K, T): whether each image is right at each IoU and threshold."""
    overlaps = swept.iou_of_any if multi_contour else swept.iou
    by_threshold = overlaps.gather(1, swept.entries(THRESHOLDS))
    return (by_threshold[:, None] >= torch.tensor(IOUS, dtype=torch.float64)[:, None]).numpy()


def differences(kind, count, seed):
    """How many hits of V1 and V2 differ from the protocol's."""
    maps, boxes = full_score_maps(kind, count, seed), truth_boxes(count, seed)
    swept = sweep(maps, boxes)
    wrong = 0
    for multi_contour in (False, True):
        ours = our_hits(swept, multi_contour)
        for one, truth, found in zip(maps, boxes, ours, strict=True):
            wrong += np.count_nonzero(found != hits_of_distinct(one, truth, multi_contour=multi_contour, ious=IOUS))
    return wrong


@pytest.mark.parametrize("name", SWEPT)
def test_the_sweep_is_that_of_the_evaluator(name):
    swept = sweep(score_map(name)[None], [[[60, 40, 190, 150]]], size=(224, 224))
    entries = swept.entries(THRESHOLDS)[0]
    assert summary_of_sweep(swept.iou[0, entries].numpy()) == SWEPT[name]
    assert summary_of_sweep(swept.iou_of_any[0, entries].numpy()) == SWEPT_MULTI[name]


@pytest.mark.parametrize("kind", SCORE_MAPS)
def test_hits_are_those_of_the_protocol(kind):
    assert differences(kind, 30, seed=0) == 0


@pytest.mark.parametrize("kind", SCORE_MAPS)
def test_the_protocol_needs_no_more_than_the_distinct_levels(kind):
    (one,), (truth,) = full_score_maps(kind, 1, 5), truth_boxes(1, 5)
    for multi_contour in (False, True):
        every = hits(one, truth, multi_contour=multi_contour, ious=IOUS)
        assert (every == hits_of_distinct(one, truth, multi_contour=multi_contour, ious=IOUS)).all()


@pytest.mark.long
def test_hits_of_three_thousand_maps_are_those_of_the_protocol():
    wrong = sum(differences(kind, 100, seed) for kind in SCORE_MAPS for seed in range(1, 7))
    assert wrong == 0
    print(f"\n3000 maps, V1 and V2, {len(THRESHOLDS)} thresholds, IoU {IOUS}: {wrong} differences")  # noqa: T201


def assert_swept(levels, boxes):
    """Boxes and overlaps of one map (H, W) at each of the 256 thresholds are those of OpenCV's contours."""
    truth = torch.from_numpy(boxes).double(), torch.tensor([len(boxes)])
    overlaps, overlaps_of_any, largest = (one[0].tolist() for one in sweep_levels(levels[None], *truth, True, True))
    plain = levels.numpy()
    wanted = None
    for threshold in range(256):
        if wanted is None or (plain == threshold).any():
            box, every = boxes_above(plain, threshold, False), boxes_above(plain, threshold, True)
            wanted = [list(box[0]), *(inclusive_iou(np.array(some), boxes).max() for some in (box, every))]
        assert [largest[threshold], overlaps[threshold], overlaps_of_any[threshold]] == wanted, threshold


@given(
    npst.arrays(np.uint8, npst.array_shapes(min_dims=2, max_dims=2, max_side=10), elements=st.integers(0, 6)),
    st.integers(0, 255),
)
def test_any_small_map(levels, seed):
    assert_swept(torch.from_numpy(levels), truth_boxes(1, seed, levels.shape)[0])


@pytest.mark.parametrize("width", [1, 2, 63, 64, 65, 127, 128, 129, 200])
def test_widths_around_whole_words(width, instruction_set):  # noqa: ARG001
    rng = np.random.default_rng(width)
    for height, high in ((1, 3), (40, 3), (23, 256)):
        levels = torch.from_numpy(rng.integers(0, high, (height, width)).astype(np.uint8))
        assert_swept(levels, truth_boxes(1, width, (height, width))[0])


def test_levels_at_both_ends():
    rng = np.random.default_rng(0)
    for low, high in ((0, 1), (254, 255), (0, 255), (1, 254)):
        levels = torch.from_numpy(rng.choice(np.array([low, high], np.uint8), (20, 25)))
        assert_swept(levels, truth_boxes(1, high, (20, 25))[0])


def test_nested_rings_of_falling_and_rising_levels():
    y, x = np.mgrid[:41, :57]
    depth = np.minimum(np.minimum(y, 40 - y), np.minimum(x, 56 - x))
    for levels in (depth * 10, 200 - depth * 10, depth % 2 * 100 + depth, depth % 3 * 80):
        assert_swept(torch.from_numpy(levels.astype(np.uint8)), truth_boxes(1, 0, (41, 57))[0])


def test_noise_of_every_density():
    for mask in random_masks(40, 66, 1).values():
        noise = np.random.default_rng(2).integers(1, 256, mask.shape)
        assert_swept(torch.from_numpy((mask * noise).astype(np.uint8)), truth_boxes(1, 3, mask.shape)[0])


def test_so_many_components_that_they_are_swept_in_parts():
    levels = np.random.default_rng(3).integers(0, 256, (640, 640)).astype(np.uint8)
    truth = torch.tensor([[100.0, 200, 500, 400]]), torch.tensor([1])
    overlaps, overlaps_of_any, largest = sweep_levels(
        torch.from_numpy(levels)[None], truth[0].double(), truth[1], True, True
    )
    boxes = truth[0].long().numpy()
    for threshold in (0, 100, 128, 200, 254):
        box = boxes_above(levels, threshold, False) if threshold in (0, 254) else None
        if box is not None:
            assert largest[0, threshold].tolist() == list(box[0])
            assert overlaps[0, threshold].item() == inclusive_iou(np.array(box), boxes).max()
    assert (overlaps_of_any >= overlaps).all()
