"""MaxBoxAcc and MaxBoxAccV2: names, counts, arguments."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from cases import full_score_maps, score_map, truth_boxes
from sweep_peers import THRESHOLDS, hits_of_distinct, normalized

from fastcam.metrics import MaxBoxAcc, MaxBoxAccV2, sweep

SIZE = (56, 60)
IOUS = (0.3, 0.5, 0.7)


def batch(count=12, seed=0):
    kinds = ("smooth", "noisy", "constant")
    maps = np.concatenate([full_score_maps(kind, count // len(kinds), seed, SIZE) for kind in kinds])
    return torch.from_numpy(maps), truth_boxes(count, seed, SIZE)


def graded(count, seed=0):
    top1 = torch.rand(count, generator=torch.Generator().manual_seed(seed)) < 0.5
    return torch.stack((top1, top1 | (torch.arange(count) % 3 == 0)), dim=1)


def by_protocol(maps, boxes, multi_contour):
    """Right images (N, K, T)."""
    every = [
        hits_of_distinct(one.numpy(), truth, multi_contour=multi_contour, ious=IOUS)
        for one, truth in zip(maps, boxes, strict=True)
    ]
    return np.stack(every)


@pytest.mark.parametrize("multi_contour", [False, True])
def test_every_number_is_that_of_the_protocol(multi_contour):
    maps, boxes = batch()
    correct = graded(len(maps))
    metric = MaxBoxAcc(IOUS, multi_contour)
    for part in (slice(0, 5), slice(5, 12)):
        metric.update(maps[part], boxes[part], correct=correct[part])
    found = metric.compute(curves=True)
    right = by_protocol(maps, boxes, multi_contour)
    weights = {"": np.ones(len(maps), bool), "top1_": correct[:, 0].numpy(), "top5_": correct[:, 1].numpy()}
    for prefix, kept in weights.items():
        curves = right[kept].sum(axis=0) / len(maps)
        for name, curve in zip(("30", "50", "70"), curves, strict=True):
            assert found[f"{prefix}curve_{name}"].tolist() == curve.tolist()
            assert found[f"{prefix}max_box_acc_{name}"].item() == curve.max()
            assert found[f"{prefix}best_threshold_{name}"].item() == THRESHOLDS[curve.argmax()]
        assert found[f"{prefix}max_box_acc"].item() == pytest.approx(curves.max(axis=1).mean(), abs=1e-15)
    assert len(found) == 3 * 10
    assert all(value.dtype == torch.float64 for value in found.values())


def test_defaults_are_those_of_the_field():
    one, two = MaxBoxAcc(), MaxBoxAccV2()
    assert (one.iou_thresholds, one.multi_contour, len(one.thresholds)) == ((0.5,), False, 1000)
    assert (two.iou_thresholds, two.multi_contour, len(two.thresholds)) == (IOUS, True, 1000)
    assert (two.thresholds == np.arange(0, 1, 1 / 1000)).all()


def test_names():
    maps, boxes = batch()
    metric = MaxBoxAcc()
    metric.update(maps, boxes)
    numbers = ["max_box_acc_50", "best_threshold_50", "max_box_acc"]
    assert list(metric.compute()) == numbers
    assert list(metric.compute(curves=True)) == [*numbers, "curve_50"]
    assert list(metric.compute()) == numbers


@pytest.mark.parametrize(("name", "best"), [("A", 0.770909), ("B", 0.336224), ("C", 0.401153), ("D", 0.625344)])
def test_raw_maps_are_resized_and_normalized(name, best):
    raw = score_map(name)[None]
    truth = [[[60, 40, 190, 150]]]
    low, high = MaxBoxAcc((best - 1e-6,)), MaxBoxAcc((best + 1e-6,))
    for metric in (low, high):
        metric.update(raw, truth, size=(224, 224))
    assert (low.compute()["max_box_acc"].item(), high.compute()["max_box_acc"].item()) == (1, 0)
    full = torch.from_numpy(normalized(raw[0].numpy(), (224, 224)))[None]
    given = MaxBoxAcc((best - 1e-6,))
    given.update(full, truth)
    assert given.compute(curves=True)["curve_" + f"{(best - 1e-6) * 100:g}"].sum() == low.right[0].sum()


def test_raw_maps_of_half_precision_are_widened_first():
    raw = torch.rand(3, 7, 7, generator=torch.Generator().manual_seed(0)).half()
    boxes = truth_boxes(3, 0, SIZE)
    metrics = MaxBoxAccV2(), MaxBoxAccV2()
    for metric, maps in zip(metrics, (raw, raw.double()), strict=True):
        metric.update(maps, boxes, size=SIZE)
    assert torch.equal(metrics[0].right, metrics[1].right)


def test_an_off_by_one_in_the_ground_truth_shows():
    scores = torch.zeros(1, 20, 20)
    scores[0, 5:11, 5:11] = 1  # the protocol's box is 5, 5, 11, 11
    found = {}
    for end in (10, 11, 12):
        metric = MaxBoxAcc((1.0,))
        metric.update(scores, [[[5, 5, end, end]]])
        found[end] = metric.compute()["max_box_acc"].item()
    assert found == {10: 0, 11: 1, 12: 0}


def test_the_iou_threshold_itself_is_enough():
    scores = torch.zeros(1, 30, 30)
    scores[0, 0:9, 0:9] = 1  # box 0, 0, 9, 9: 100 pixels of the 200 of the truth
    exact, above = MaxBoxAcc((0.5,)), MaxBoxAcc((np.nextafter(0.5, 1),))
    for metric in (exact, above):
        metric.update(scores, [[[0, 0, 19, 9]]])
    assert (exact.compute()["max_box_acc"].item(), above.compute()["max_box_acc"].item()) == (1, 0)


def test_the_best_of_several_boxes_counts():
    maps, boxes = batch()
    together, best = MaxBoxAcc(), np.zeros(1000, int)
    together.update(maps, boxes)
    for one, truth in zip(maps, boxes, strict=True):
        alone = MaxBoxAcc()
        alone.update(one.expand(len(truth), -1, -1), [box[None] for box in truth])
        best += (alone.right[0, 0] > 0).numpy()
    assert together.right[0, 0].tolist() == best.tolist()


def test_metrics_may_share_a_sweep():
    maps, boxes = batch()
    swept = sweep(maps, boxes)
    for shared, alone in ((MaxBoxAcc(), MaxBoxAcc()), (MaxBoxAccV2(), MaxBoxAccV2())):
        shared.update(swept, correct=graded(len(maps)))
        alone.update(maps, boxes, correct=graded(len(maps)))
        assert torch.equal(shared.right, alone.right)
    with pytest.raises(ValueError, match="swept without multi_contour=True"):
        MaxBoxAccV2().update(sweep(maps, boxes, multi_contour=False))
    with pytest.raises(TypeError, match="swept already"):
        MaxBoxAcc().update(swept, boxes)


@pytest.mark.parametrize("count", [1, 3, 10, 49, 100, 997])
def test_thresholds_mean_the_levels_that_the_protocol_means(count):
    metric = MaxBoxAcc(num_thresholds=count)
    assert (metric.thresholds == np.arange(0, 1, 1 / count)).all()
    maps, boxes = full_score_maps("one pixel", 6, 1, SIZE), truth_boxes(6, 1, SIZE)
    entries = sweep(maps, boxes).entries(metric.thresholds)
    for one, found in zip(maps, entries, strict=True):
        levels = (one * 255).astype(np.uint8)
        assert found.tolist() == [int(tau * levels.max()) for tau in metric.thresholds]


def test_interrupted_and_resumed_reading_gives_the_same_numbers():
    maps, boxes = batch()
    whole = MaxBoxAccV2()
    whole.update(maps, boxes)
    first = MaxBoxAccV2()
    first.update(maps[:7], boxes[:7])
    stored = io.BytesIO()
    torch.save(first.state_dict(), stored)
    stored.seek(0)
    second = MaxBoxAccV2()
    second.load_state_dict(torch.load(stored))
    second.update(maps[7:], boxes[7:])
    assert torch.equal(second.right, whole.right)
    assert int(second.images) == len(maps)
    third = pickle.loads(pickle.dumps(first))
    third.update(maps[7:], boxes[7:])
    fourth = copy.deepcopy(first)
    fourth.update(maps[7:], boxes[7:])
    for metric in (third, fourth):
        for name, value in metric.compute(curves=True).items():
            assert torch.equal(value, whole.compute(curves=True)[name]), name


def test_reset_forgets():
    maps, boxes = batch()
    metric = MaxBoxAcc()
    metric.update(maps, boxes, correct=graded(len(maps)))
    metric.reset()
    assert (int(metric.right.sum()), int(metric.images), int(metric.graded)) == (0, 0, 0)


def test_forward_gives_the_batch_and_keeps_all():
    maps, boxes = batch()
    metric = MaxBoxAcc()
    alone = MaxBoxAcc()
    alone.update(maps[:3], boxes[:3])
    assert metric(maps[:3], boxes[:3]) == alone.compute()
    metric(maps[3:], boxes[3:])
    assert int(metric.images) == len(maps)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_no_image_gives_no_number():
    assert MaxBoxAcc().compute()["max_box_acc"].isnan()
    metric = MaxBoxAcc()
    metric.update(torch.zeros(0, 4, 4), [])
    assert metric.compute()["max_box_acc_50"].isnan()


def test_correct_comes_always_or_never():
    maps, boxes = batch()
    metric = MaxBoxAcc()
    metric.update(maps[:4], boxes[:4], correct=graded(4))
    metric.update(maps[4:], boxes[4:])
    with pytest.raises(ValueError, match="correct must come with every batch or with none, got it for 4 of 12"):
        metric.compute()


BAD_UPDATES = [
    ({"maps": torch.rand(2, 3)}, ValueError, r"maps must be \(N, h, w\)"),
    ({"maps": torch.zeros(2, 3, 4, dtype=torch.uint8)}, TypeError, "maps must be of a floating-point type"),
    ({"maps": torch.full((2, 3, 4), 1.5)}, ValueError, r"maps must lie in \[0, 1\], got values from 1.5"),
    ({"maps": torch.full((2, 3, 4), torch.nan)}, ValueError, r"maps must lie in \[0, 1\]"),
    ({"boxes": None}, TypeError, r"boxes must hold one \(G, 4\) for each image, got None"),
    ({"boxes": [[[0, 0, 1, 1]]]}, ValueError, "for each of the 2 images, got 1"),
    ({"boxes": [[[0, 0, 1, 1]], []]}, ValueError, r"boxes\[1\] must be \(G, 4\)"),
    ({"boxes": [[[0, 0, 1, 1]], [0, 0, 1, 1]]}, ValueError, r"boxes\[1\] must be \(G, 4\)"),
    ({"boxes": [[[0, 0, 1, 1]], [[0, 0, 1, 1], [2, 0, 1, 1]]]}, ValueError, r"boxes\[1\] must hold .* \[2.0, 0.0"),
    ({"boxes": [[[-1, 0, 1, 1]], [[0, 0, 1, 1]]]}, ValueError, r"boxes\[0\] must hold boxes with 0 <= x0"),
    ({"boxes": 3}, TypeError, "boxes must hold one"),
    ({"size": (0, 4)}, ValueError, "size must be"),
    ({"correct": torch.ones(2, 2)}, ValueError, r"correct must be \(2, 2\) bool"),
    ({"correct": torch.ones(2, dtype=torch.bool)}, ValueError, r"correct must be \(2, 2\) bool"),
]


@pytest.mark.parametrize(("changed", "error", "message"), BAD_UPDATES)
def test_what_is_wrong_is_named_and_not_counted(changed, error, message):
    metric = MaxBoxAcc()
    given = {"maps": torch.rand(2, 3, 4), "boxes": [[[0, 0, 1, 1]], [[0, 0, 1, 1]]]} | changed
    with pytest.raises(error, match=message):
        metric.update(given.pop("maps"), given.pop("boxes"), **given)
    assert (int(metric.right.sum()), int(metric.images)) == (0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iou_thresholds": ()}, "iou_thresholds must be distinct numbers"),
        ({"iou_thresholds": (30,)}, r"in \(0, 1\]"),
        ({"iou_thresholds": (0.5, 0.5)}, "distinct"),
        ({"num_thresholds": 0}, "num_thresholds must be a whole number, at least 1, got 0"),
        ({"num_thresholds": 1.5}, "num_thresholds"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MaxBoxAcc(**options)


def test_numpy_is_taken_too():
    maps, boxes = batch()
    ours, theirs = MaxBoxAcc(), MaxBoxAcc()
    ours.update(maps, boxes)
    theirs.update(maps.numpy(), [torch.from_numpy(one).float() for one in boxes], correct=graded(12).numpy())
    assert torch.equal(ours.right[0], theirs.right[0])


@pytest.mark.gpu
def test_on_cuda():
    maps, boxes = batch()
    here, there = MaxBoxAccV2(), MaxBoxAccV2().to("cuda")
    here.update(maps, boxes, correct=graded(12))
    there.update(maps.cuda(), boxes, correct=graded(12).cuda())
    assert there.right.is_cuda
    assert torch.equal(there.right.cpu(), here.right)
    raw = torch.rand(5, 7, 7)
    here.update(raw, boxes[:5], size=SIZE, correct=graded(5))
    there.update(raw.cuda(), boxes[:5], size=SIZE, correct=graded(5))
    assert torch.equal(there.right.cpu(), here.right)


def test_a_curve_of_one_threshold_is_a_curve():
    metric = MaxBoxAcc(num_thresholds=1)
    metric.update(torch.rand(2, 7, 7), [torch.tensor([[0, 0, 3, 3]])] * 2, size=(7, 7))
    for found in (metric.compute(curves=True), metric.compute(curves=True)):
        assert found["curve_50"].shape == (1,)
        assert found["max_box_acc_50"].shape == ()
