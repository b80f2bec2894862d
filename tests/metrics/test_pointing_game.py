"""The pointing game against a loop over the pixels of the object, and by hand."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
import torch

from fastcam.metrics import PointingGame

RANDOM = np.random.default_rng(0)
N, SIZE = 40, (17, 23)
MAPS = RANDOM.normal(size=(N, *SIZE))
LOW = RANDOM.uniform(0, 12, (N, 2, 2))
BOXES = np.concatenate((LOW, LOW + RANDOM.uniform(0.2, 8, (N, 2, 2))), axis=2)
MASKS = RANDOM.choice([0, 1, 255], (N, *SIZE), p=[0.9, 0.05, 0.05]).astype(np.uint8)
LABELS = RANDOM.integers(0, 4, N)


def in_boxes(boxes, inclusive=False):
    """The pixels of boxes, each by its centre."""
    inside = np.zeros(SIZE, bool)
    for y, x in np.ndindex(SIZE):
        for x0, y0, x1, y1 in boxes:
            inside[y, x] |= (x0 <= x + 0.5 < x1 + inclusive) and (y0 <= y + 0.5 < y1 + inclusive)
    return inside


def hits(scores, inside, tolerance):
    best, (py, px) = -np.inf, (0, 0)
    for y, x in np.ndindex(SIZE):
        if scores[y, x] > best:
            best, (py, px) = scores[y, x], (y, x)
    return any((y - py) ** 2 + (x - px) ** 2 <= tolerance**2 for y, x in np.argwhere(inside).tolist())


def filled(metric, *cuts, maps=MAPS):
    for start, end in itertools.pairwise((0, *cuts, len(maps))):
        part = slice(start, end)
        metric.update(maps[part], BOXES[part], MASKS[part], labels=LABELS[part])
    return metric.compute().item()


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("tolerance", [0, 1, 2.5, 5])
def test_boxes(tolerance, inclusive):
    inside = [in_boxes(boxes, inclusive) for boxes in BOXES]
    right = np.array([hits(*pair, tolerance) for pair in zip(MAPS, inside, strict=True)])
    there = np.array([one.any() for one in inside])
    assert 0 < right[there].mean() < 1
    assert filled(PointingGame(tolerance, inclusive=inclusive)) == right[there].mean()
    by_class = [right[there & (k == LABELS)].mean() for k in range(4)]
    found = filled(PointingGame(tolerance, inclusive=inclusive, average="classes", num_classes=6))
    assert found == pytest.approx(np.mean(by_class), abs=1e-15)


@pytest.mark.parametrize("tolerance", [0, 1, 2.5])
def test_masks(tolerance):
    unseen = np.where(MASKS == 255, -np.inf, MAPS)
    right = [hits(scores, mask == 1, tolerance) for scores, mask in zip(unseen, MASKS, strict=True)]
    assert 0 < np.mean(right) < 1
    assert filled(PointingGame(tolerance, truth="masks")) == np.mean(right)


def test_the_tolerance_itself_is_a_hit_and_is_fifteen_pixels_by_default():
    # Pixels at a distance of 15: along an axis, and by 9 and 12.
    for x, y, hit in ((35, 20, True), (36, 20, False), (29, 32, True), (30, 32, False), (20, 4, False), (20, 5, True)):
        maps = torch.zeros(1, 48, 48)
        maps[0, y, x] = 1
        metric = PointingGame()
        metric.update(maps, [[[20, 20, 21, 21]]])
        assert metric.compute().item() == hit, (x, y)
    strict = PointingGame(14.99)
    strict.update(maps, [[[20, 20, 21, 21]]])
    assert strict.compute().item() == 0


def test_the_mean_of_the_classes_is_over_those_that_there_are():
    maps = torch.zeros(4, 8, 8)
    maps[:, 2, 2] = 1
    near, far = [[2, 2, 4, 4]], [[6, 6, 8, 8]]
    metrics = PointingGame(0, num_classes=9), PointingGame(0, average="classes", num_classes=9)
    for metric in metrics:
        metric.update(maps, [near, near, far, near], labels=[0, 0, 0, 7])
    assert [metric.compute().item() for metric in metrics] == [3 / 4, pytest.approx((2 / 3 + 1) / 2)]


def test_the_first_of_equals_counts_and_a_map_without_a_maximum_misses():
    maps = torch.zeros(5, 6, 6, dtype=torch.float64)
    maps[0, 1, 4] = maps[0, 3, 0] = 2  # the first in raster order is the one at x 4, y 1
    maps[1] = 7
    maps[2, 5, 5] = torch.nan
    maps[3, 0, 0] = torch.inf
    maps[4] = -3
    maps[4, 1, 4] = -1
    for i, hit in enumerate((1, 0, 0, 0, 1)):
        for boxes in ([[4, 1, 5, 2]], [[0, 0, 6, 6]])[: 1 + (hit == 0)]:
            metric = PointingGame(0)
            metric.update(maps[i : i + 1], [boxes])
            assert metric.compute().item() == hit, i


def test_raw_maps_are_resized():
    raw = np.random.default_rng(1).normal(size=(N, 5, 6))
    full = np.stack([cv2.resize(one, SIZE[::-1], interpolation=cv2.INTER_CUBIC) for one in raw])
    metric, wanted = PointingGame(2), PointingGame(2)
    metric.update(raw, BOXES, size=SIZE)
    wanted.update(full, BOXES)
    assert metric.compute() == wanted.compute()
    assert 0 < metric.compute() < 1


def test_batches_split_anyhow_give_equal_numbers():
    for options in ({}, {"truth": "masks"}, {"average": "classes", "num_classes": 4}):
        wanted = filled(PointingGame(2, **options))
        for cuts in ((1,), (3, 20), tuple(range(1, N)), (0, 0, 5)):
            assert filled(PointingGame(2, **options), *cuts) == wanted


def test_images_without_objects_are_left_out():
    masks = np.zeros((2, *SIZE), np.uint8)
    metric = PointingGame(truth="masks")
    metric.update(MAPS[:2], masks=masks)
    with pytest.warns(UserWarning, match="PointingGame has seen no image with an object pixel: returning NaN"):
        assert metric.compute().isnan()
    masks[0, 3, 3] = 1
    metric.reset()
    metric.update(MAPS[:2], masks=masks)
    assert (int(metric.points.sum()), int(metric.without_objects)) == (1, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": -1}, "tolerance must be at least 0"),
        ({"tolerance": float("nan")}, "tolerance must be"),
        ({"tolerance": float("inf")}, "tolerance must be"),
        ({"truth": "points"}, "truth must be 'boxes' or 'masks', got 'points'"),
        ({"average": "macro"}, "average must be 'images' or 'classes', got 'macro'"),
        ({"average": "classes"}, "num_classes must be given"),
        ({"num_classes": 0}, "num_classes must be a whole number, at least 1, got 0"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PointingGame(**options)


@pytest.mark.parametrize(
    ("options", "given", "error", "message"),
    [
        ({}, {}, TypeError, "boxes must hold one .* as truth='boxes' says, got None"),
        ({"truth": "masks"}, {"boxes": BOXES[:2]}, TypeError, "masks must be .* as truth='masks' says, got None"),
        ({}, {"boxes": [[[0, 0, 1, 1]], []]}, ValueError, r"boxes\[1\] must be \(G, 4\)"),
        ({}, {"boxes": BOXES[:3]}, ValueError, "for each of the 2 images, got 3"),
        ({"num_classes": 3}, {"boxes": BOXES[:2]}, TypeError, "labels must be .* got None"),
        ({"num_classes": 3}, {"boxes": BOXES[:2], "labels": [0, 3]}, ValueError, r"labels must lie in \[0, 3\), got 3"),
        ({"num_classes": 3}, {"boxes": BOXES[:2], "labels": [0]}, ValueError, r"labels must be \(2,\)"),
        ({"truth": "masks"}, {"masks": np.full((2, *SIZE), 3)}, ValueError, r"0, 1 and 255, got \[3\]"),
        ({"truth": "masks"}, {"masks": np.full((2, *SIZE), 3, np.uint8)}, ValueError, r"0, 1 and 255, got \[3\]"),
        ({"truth": "masks"}, {"masks": MASKS[:2, 1:]}, ValueError, r"masks must be \(2, 17, 23\)"),
    ],
)
def test_what_is_wrong_is_named_and_not_counted(options, given, error, message):
    metric = PointingGame(**options)
    with pytest.raises(error, match=message):
        metric.update(MAPS[:2], **given)
    assert int(metric.points.sum()) == int(metric.without_objects) == 0


@pytest.mark.gpu
def test_on_cuda():
    for options in ({}, {"truth": "masks"}, {"average": "classes", "num_classes": 4}):
        there = PointingGame(2, **options).to("cuda")
        there.update(torch.from_numpy(MAPS).cuda(), BOXES, torch.from_numpy(MASKS).cuda(), labels=LABELS)
        assert there.compute().item() == filled(PointingGame(2, **options))
