"""IoU of thresholded maps with masks, over all pixels and as a mean of images, against loops over pixels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sweep_peers import normalized
from torchmetrics import MetricCollection

from fastcam.metrics import MaskIoU, MeanMaskIoU, PxAP

RANDOM = np.random.default_rng(0)
N, SIZE = 7, (9, 11)
MAPS = RANDOM.random((N, *SIZE)) ** 2
MASKS = RANDOM.choice([0, 1, 255], (N, *SIZE), p=[0.6, 0.3, 0.1]).astype(np.uint8)
THRESHOLDS = [*np.arange(0, 1, 1 / 50), 1.0]


def counted(scores, mask, threshold):
    """Intersection and union, a pixel at a time."""
    both = either = 0
    for score, kind in zip(scores.ravel(), mask.ravel(), strict=True):
        if kind != 255:
            both += score >= threshold and kind == 1
            either += score >= threshold or kind == 1
    return both, either


def over_pixels(threshold):
    both, either = np.sum([counted(*pair, threshold) for pair in zip(MAPS, MASKS, strict=True)], axis=0)
    return both / either


def over_images(threshold):
    pairs = [counted(*pair, threshold) for pair in zip(MAPS, MASKS, strict=True)]
    return np.mean([both / either for both, either in pairs])


def filled(metric, *cuts):
    for start, end in itertools.pairwise((0, *cuts, N)):
        metric.update(MAPS[start:end], MASKS[start:end])
    return metric.compute().item()


@pytest.mark.parametrize("at", [0, 7, 28, 29, 49, 50])
def test_at_a_fixed_threshold_it_is_that_of_the_definition(at):
    threshold = at / 50  # as people write it, which may be another number than the rounded multiple
    assert filled(MaskIoU(threshold, 50)) == over_pixels(THRESHOLDS[at])
    assert filled(MeanMaskIoU(threshold, 50)) == pytest.approx(over_images(THRESHOLDS[at]), abs=1e-12)


def test_the_peak_is_the_best_of_all_thresholds():
    best = max(over_pixels(threshold) for threshold in THRESHOLDS)
    assert filled(MaskIoU(num_thresholds=50)) == best
    mean = max(over_images(threshold) for threshold in THRESHOLDS)
    assert filled(MeanMaskIoU(num_thresholds=50)) == pytest.approx(mean, abs=1e-12)
    metric = PxAP(50)
    metric.update(MAPS, MASKS)
    assert metric.compute()["peak_iou"].item() == best


def test_by_hand():
    maps = torch.tensor([[[0.9, 0.6], [0.3, 0.1]], [[0.9, 0.8], [0.7, 0.6]]])
    masks = torch.tensor([[[1, 0], [1, 0]], [[1, 1], [1, 255]]], dtype=torch.uint8)
    for threshold, pixels, images in ((0.5, 4 / 6, (1 / 3 + 1) / 2), (0.25, 5 / 6, (2 / 3 + 1) / 2), (1, 0, 0)):
        for make, wanted in ((MaskIoU, pixels), (MeanMaskIoU, images)):
            metric = make(threshold, 20)
            metric.update(maps, masks)
            assert metric.compute().item() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("make", [MaskIoU, MeanMaskIoU])
@pytest.mark.parametrize("threshold", [None, 0.3])
def test_batches_split_anyhow_give_equal_numbers(make, threshold):
    wanted = filled(make(threshold))
    for cuts in ((1,), (3, 4), tuple(range(1, N)), (0, 0, 5)):
        assert filled(make(threshold), *cuts) == wanted


@pytest.mark.parametrize("make", [MaskIoU, MeanMaskIoU])
def test_raw_maps_are_resized_and_normalized_and_those_with_a_nan_are_zeros(make):
    raw = np.random.default_rng(1).normal(size=(N, 4, 5))
    raw[2, 1, 1] = np.nan
    full, metric = make(0.4), make(0.4)
    full.update(np.stack([normalized(one, SIZE) for one in raw]), MASKS)
    metric.update(raw, MASKS, size=SIZE)
    assert metric.compute() == full.compute()
    with pytest.raises(ValueError, match=r"maps must lie in \[0, 1\], got values from nan to nan in maps\[2\]"):
        make(0.4).update(raw.clip(0, 1), MASKS[:, :4, :5])


def test_one_pass_counts_for_all_of_the_data_set_s_numbers():
    members = {"pxap": PxAP(), "peak": MaskIoU(), "low": MaskIoU(0.1), "high": MaskIoU(0.9)}
    collection = MetricCollection(members)
    collection.update(MAPS, MASKS)
    collection.update(MAPS[::2], MASKS[::2])
    assert len(collection.compute_groups) == 1
    found = collection.compute()
    for name, make in (("peak", MaskIoU), ("low", lambda: MaskIoU(0.1)), ("high", lambda: MaskIoU(0.9))):
        alone = make()
        alone.update(MAPS, MASKS)
        alone.update(MAPS[::2], MASKS[::2])
        assert found[name] == alone.compute()


def test_images_without_objects():
    empty = np.where(MASKS == 1, 0, MASKS)
    for make, message in (
        (MaskIoU, "has counted no object pixel"),
        (MeanMaskIoU, "has seen no image with an object pixel"),
    ):
        metric = make(0.3)
        metric.update(MAPS, empty)
        with pytest.warns(UserWarning, match=f"{make.__name__} {message}"):
            assert metric.compute().isnan()
    metric, alone = MeanMaskIoU(0.3), MeanMaskIoU(0.3)
    metric.update(MAPS, np.concatenate((MASKS[:3], empty[3:])))
    alone.update(MAPS[:3], MASKS[:3])
    assert metric.compute() == alone.compute()
    assert (int(metric.images), int(metric.without_objects)) == (3, 4)


@pytest.mark.parametrize("make", [MaskIoU, MeanMaskIoU])
@pytest.mark.parametrize("threshold", [-0.1, 0.35, 1.1, 2, float("nan")])
def test_a_threshold_that_the_histogram_does_not_have_is_refused(make, threshold):
    with pytest.raises(ValueError, match=r"threshold must be one of the 10 of .*, or 1, got"):
        make(threshold, 10)
    assert make(0.35).threshold == 0.35


@pytest.mark.parametrize("make", [MaskIoU, MeanMaskIoU])
@pytest.mark.parametrize("count", [3, 10, 49, 100, 997, 1000])
def test_every_threshold_is_found_as_it_is_and_as_a_fraction(make, count):
    metric = make(num_thresholds=count)
    for i, threshold in enumerate(metric.thresholds.tolist()):
        assert metric.entry(threshold) == i
        if i < count:
            assert metric.entry(i / count) == i


def test_a_batch_of_which_a_later_image_is_wrong_is_not_counted():
    wrong = MASKS.copy()
    wrong[-1, 0, 0] = 7
    for make in (MaskIoU, MeanMaskIoU):
        metric = make()
        with pytest.raises(ValueError, match=r"masks must hold 0, 1 and 255"):
            metric.update(MAPS, wrong)
        state = metric.counts if make is MaskIoU else metric.sums
        assert int(state.sum()) == 0


@pytest.mark.gpu
def test_on_cuda():
    for make in (MaskIoU, MeanMaskIoU):
        here, there = make(0.3), make(0.3).to("cuda")
        here.update(MAPS, MASKS)
        there.update(torch.from_numpy(MAPS).cuda(), torch.from_numpy(MASKS).cuda())
        assert there.compute().cpu() == here.compute()
