"""PxAP and the peak IoU of pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sweep_peers import normalized, pixels

from fastcam.metrics import PxAP

SCORES = torch.tensor(
    [[0, 0.1, 0.2, 0.3], [0.4, 0.5, 0.6, 0.7], [0.8, 0.9, 1, 0.05], [0.15, 0.25, 0.35, 0.45]], dtype=torch.float64
)
MASK = torch.tensor([[0, 0, 0, 1], [0, 1, 1, 1], [1, 0, 1, 0], [0, 0, 1, 0]], dtype=torch.uint8)


def pxap(scores, mask, **options):
    metric = PxAP(**options)
    metric.update(scores[None], mask[None])
    return metric.compute()["pxap"].item()


def ignoring():
    mask = MASK.clone()
    mask[2, 1] = 255
    return mask


@pytest.mark.parametrize(
    ("mask", "count", "percent"),
    [(MASK, 1000, 77.380952), (MASK, 100, 77.380952), (MASK, 10, 76.190476), (ignoring(), 1000, 93.253968)],
)
def test_it_is_that_of_the_evaluator(mask, count, percent):
    assert pxap(SCORES, mask, num_thresholds=count) * 100 == pytest.approx(percent, abs=5e-7)


def test_constant_and_perfect_maps():
    mask = torch.tensor([[1, 0], [0, 0]], dtype=torch.uint8)
    assert pxap(torch.ones(2, 2), mask) == 0.25
    assert pxap(MASK.double(), MASK) == 1


@pytest.mark.parametrize("score", [0, 0.5, 1])
@pytest.mark.parametrize(
    ("objects", "background", "percent"), [(43031, 7145, 85.760), (833, 49343, 1.6602), (347, 13910, 2.4339)]
)
def test_a_constant_map_has_the_objects_share(objects, background, percent, score):
    """The pixels of the evaluator's own three pictures: what is neither object nor background is ignored."""
    mask = torch.full((224 * 224,), 255, dtype=torch.uint8)
    mask[:objects], mask[objects : objects + background] = 1, 0
    mask = mask[torch.randperm(len(mask), generator=torch.Generator().manual_seed(0))].view(224, 224)
    found = pxap(torch.full((224, 224), score, dtype=torch.float64), mask, num_thresholds=100)
    assert found == pytest.approx(objects / (objects + background), abs=1e-15)
    assert f"{found * 100:.5g}" == f"{percent:.5g}"


def by_definition(scores, mask, thresholds):
    """Precision, recall and IoU of the pixels at or above each threshold, from the highest down."""
    objects, background = scores[mask == 1], scores[mask == 0]
    kept = [((objects >= t).sum(), (background >= t).sum()) for t in [*thresholds, 1.0][::-1]]
    recall = np.array([hit / objects.size for hit, _ in kept])
    precision = np.array([hit / max(hit + false, 1) for hit, false in kept])
    iou = max(hit / (objects.size + false) for hit, false in kept)
    return (precision[1:] * np.diff(recall)).sum(), iou, precision, recall


def test_curves_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    scores, masks = rng.random((4, 9, 11)) ** 2, rng.choice([0, 1, 255], (4, 9, 11)).astype(np.uint8)
    metric = PxAP(num_thresholds=50)
    metric.update(scores[:1], masks[:1])
    metric.update(scores[1:], masks[1:])
    found = metric.compute(curves=True)
    area, iou, precision, recall = by_definition(scores, masks, metric.thresholds)
    # The first bin, from 2 to 3, holds nothing.
    assert (found["recall"][0].item(), found["recall"][1:].tolist()) == (0, recall.tolist())
    assert found["pxap"].item() == pytest.approx(area, abs=1e-12)
    assert found["peak_iou"].item() == iou
    kept = ~found["precision"].isnan()
    assert found["precision"][kept].tolist() == precision[kept[1:].numpy()].tolist()
    assert all(value.dtype == torch.float64 for value in found.values())


def test_counts_are_numpy_histograms_and_whole_numbers():
    rng = np.random.default_rng(1)
    scores, mask = rng.random((3, 40, 50)), rng.choice([0, 1, 255], (3, 40, 50)).astype(np.uint8)
    metric = PxAP()
    metric.update(scores, mask)
    assert metric.counts.dtype == torch.int64
    assert metric.counts.tolist() == pixels(scores, mask).tolist()


def test_raw_maps_are_resized_to_their_masks():
    raw = torch.rand(3, 7, 7, generator=torch.Generator().manual_seed(0))
    masks = torch.randint(0, 2, (3, 40, 50), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    metric, full = PxAP(), PxAP()
    metric.update(raw, masks, size=(40, 50))
    full.update(np.stack([normalized(one.numpy(), (40, 50)) for one in raw]), masks)
    assert torch.equal(metric.counts, full.counts)


def test_interrupted_and_resumed_reading_gives_the_same_numbers():
    rng = np.random.default_rng(2)
    scores, mask = rng.random((6, 5, 5)), rng.integers(0, 2, (6, 5, 5)).astype(np.uint8)
    whole, first, second = PxAP(), PxAP(), PxAP()
    whole.update(scores, mask)
    first.update(scores[:2], mask[:2])
    second.load_state_dict(first.state_dict())
    second.update(scores[2:], mask[2:])
    assert torch.equal(second.counts, whole.counts)


@pytest.mark.parametrize(
    ("maps", "masks", "error", "message"),
    [
        (torch.rand(1, 3, 4), torch.zeros(1, 3, 5, dtype=torch.uint8), ValueError, r"masks must be \(1, 3, 4\) uint8"),
        (torch.rand(1, 3, 4), torch.zeros(1, 3, 4), ValueError, "masks must be .* got torch.float32"),
        (torch.rand(1, 3, 4), torch.full((1, 3, 4), 2, dtype=torch.uint8), ValueError, r"0, 1 and 255, got \[2\]"),
        (torch.full((1, 3, 4), 1.1), torch.zeros(1, 3, 4, dtype=torch.uint8), ValueError, r"maps must lie in \[0, 1\]"),
        (torch.rand(3, 4), torch.zeros(3, 4, dtype=torch.uint8), ValueError, r"maps must be \(N, h, w\)"),
    ],
)
def test_what_is_wrong_is_named_and_not_counted(maps, masks, error, message):
    metric = PxAP()
    with pytest.raises(error, match=message):
        metric.update(maps, masks)
    assert int(metric.counts.sum()) == 0


def test_without_objects_it_is_not_a_number():
    metric = PxAP()
    metric.update(torch.rand(1, 3, 4), torch.zeros(1, 3, 4, dtype=torch.uint8))
    with pytest.warns(UserWarning, match="PxAP has counted no object pixel, .* returning NaN"):
        found = metric.compute(curves=True)
    assert all(found[name].isnan().all() for name in ("pxap", "peak_iou", "recall"))
    assert found["precision"][-1] == 0


@pytest.mark.gpu
def test_on_cuda():
    maps = torch.rand(3, 20, 30).double()
    masks = torch.randint(0, 2, (3, 20, 30)).to(torch.uint8)
    here, there = PxAP(), PxAP().to("cuda")
    here.update(maps, masks)
    there.update(maps.cuda(), masks.cuda())
    assert torch.equal(there.counts.cpu(), here.counts)
