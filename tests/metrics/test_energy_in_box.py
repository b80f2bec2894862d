"""The energy-based pointing game against a loop over pixels, and by hand."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
import torch

from fastcam.metrics import EnergyInBox

RANDOM = np.random.default_rng(0)
N, SIZE = 12, (17, 23)
MAPS = RANDOM.normal(size=(N, *SIZE))
LOW = RANDOM.integers(0, 12, (N, 2, 2))
BOXES = np.concatenate((LOW, LOW + RANDOM.integers(1, 9, (N, 2, 2))), axis=2)
MASKS = RANDOM.choice([0, 1, 255], (N, *SIZE), p=[0.6, 0.3, 0.1]).astype(np.uint8)


def energy(scores, inside, seen):
    within = total = 0.0
    for value, counts, visible in zip(scores.ravel(), inside.ravel(), seen.ravel(), strict=True):
        if visible and value > 0:
            total += value
            within += value * counts
    return within / total if total else 0.0


def in_boxes(boxes, inclusive):
    inside = np.zeros(SIZE, bool)
    for x0, y0, x1, y1 in boxes:
        inside[y0 : y1 + inclusive, x0 : x1 + inclusive] = True
    return inside


def filled(metric, *cuts):
    for start, end in itertools.pairwise((0, *cuts, N)):
        metric.update(MAPS[start:end], BOXES[start:end], MASKS[start:end])
    return metric.compute().item()


@pytest.mark.parametrize("inclusive", [False, True])
def test_the_union_of_boxes(inclusive):
    seen = np.ones(SIZE, bool)
    wanted = [energy(one, in_boxes(boxes, inclusive), seen) for one, boxes in zip(MAPS, BOXES, strict=True)]
    assert filled(EnergyInBox(inclusive=inclusive)) == pytest.approx(np.mean(wanted), abs=1e-11)


def test_masks():
    wanted = [energy(scores, mask == 1, mask != 255) for scores, mask in zip(MAPS, MASKS, strict=True)]
    assert filled(EnergyInBox(truth="masks")) == pytest.approx(np.mean(wanted), abs=1e-11)


def test_by_hand():
    maps = torch.tensor([[[4.0, 2, -9], [1, 1, 0]]])
    # x across, y down: the first two pixels of the first row.
    for boxes, wanted in (
        ([[0, 0, 2, 1]], 6 / 8),
        ([[0, 0, 1, 2]], 5 / 8),
        ([[0, 0, 2, 1], [0, 0, 1, 2]], 7 / 8),
        ([[2, 0, 3, 2]], 0),
        ([[0, 0, 99, 99]], 1),
        ([[0.6, 0, 2.4, 1]], 2 / 8),
    ):
        metric = EnergyInBox()
        metric.update(maps, [boxes])
        assert metric.compute().item() == pytest.approx(wanted, abs=1e-12), boxes


@pytest.mark.parametrize("scale", [1e-310, 1e-30, 1, 1e30, 1e300])
def test_any_scale_gives_the_same(scale):
    metric = EnergyInBox()
    metric.update(MAPS * scale, BOXES)
    assert metric.compute().item() == pytest.approx(filled(EnergyInBox()), abs=1e-6 if scale < 1e-300 else 1e-11)


def test_maps_without_energy_count_as_nothing():
    maps = np.stack([np.zeros(SIZE), -np.ones(SIZE), np.full(SIZE, np.nan), np.full(SIZE, np.inf), np.ones(SIZE)])
    maps[2, 1:] = 1
    metric = EnergyInBox()
    metric.update(maps, [[[0, 0, SIZE[1], SIZE[0]]]] * 5)
    assert metric.compute().item() == 1 / 5


def test_raw_maps_are_resized_and_not_normalized():
    raw = np.random.default_rng(1).normal(size=(N, 5, 6))
    full = np.stack([cv2.resize(one, SIZE[::-1], interpolation=cv2.INTER_CUBIC) for one in raw])
    metric, wanted = EnergyInBox(), EnergyInBox()
    metric.update(raw, BOXES, size=SIZE)
    wanted.update(full, BOXES)
    assert metric.compute() == wanted.compute()


@pytest.mark.usefixtures("restored_threads")
def test_batches_split_anyhow_give_equal_numbers():
    maps = np.random.default_rng(2).random((5, 224, 224))
    boxes = [[[10 * i, 20, 100 + 10 * i, 200]] for i in range(5)]
    found = set()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for cuts in ((), (1,), (3, 4), (1, 2, 3, 4), (0, 0, 2)):
            metric = EnergyInBox()
            for start, end in itertools.pairwise((0, *cuts, 5)):
                metric.update(maps[start:end], boxes[start:end])
            found.add(metric.compute().item())
    assert len(found) == 1


def test_images_without_objects_are_left_out():
    metric = EnergyInBox(truth="masks")
    metric.update(MAPS[:2], masks=np.zeros((2, *SIZE), bool))
    with pytest.warns(UserWarning, match="EnergyInBox has seen no image with an object pixel: returning NaN"):
        assert metric.compute().isnan()
    metric.update(MAPS[:1], masks=np.ones((1, *SIZE), bool))
    assert metric.compute().item() == 1
    boxes = EnergyInBox()
    boxes.update(MAPS[:2], [[[3, 3, 3, 9]], [[0, 0, SIZE[1], SIZE[0]]]])  # the first has no width
    assert boxes.compute().item() == 1
    assert int(boxes.without_objects) == 1


def test_missing_truth_is_named_and_nothing_is_counted():
    for options, given, message in (
        ({}, {"masks": MASKS}, "boxes must hold one"),
        ({"truth": "masks"}, {"boxes": BOXES}, "masks must be"),
    ):
        metric = EnergyInBox(**options)
        with pytest.raises(TypeError, match=message):
            metric.update(MAPS, **given)
        assert int(metric.images) == 0
    with pytest.raises(ValueError, match="truth must be 'boxes' or 'masks', got None"):
        EnergyInBox(truth=None)


@pytest.mark.gpu
def test_on_cuda():
    there = EnergyInBox().to("cuda")
    there.update(torch.from_numpy(MAPS).cuda(), BOXES)
    assert there.compute().item() == filled(EnergyInBox())
