"""MaxBoxAcc by the size of the objects, against the evaluator of the field on the images of each size."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
import torch
from cases import full_score_maps, truth_boxes
from sweep_peers import hits_of_distinct

from fastcam.metrics import MaxBoxAcc, MaxBoxAccV2, Swept, sweep

SIZE = (56, 60)
N = 24
LIMITS = (0.1, 0.3)
MAPS = torch.from_numpy(np.concatenate([full_score_maps(kind, N // 2, 0, SIZE) for kind in ("smooth", "rough")]))
BOXES = truth_boxes(N, 3, SIZE)


def size_of(boxes):
    largest = max((int(x1) - int(x0) + 1) * (int(y1) - int(y0) + 1) for x0, y0, x1, y1 in boxes)
    return sum(largest / (SIZE[0] * SIZE[1]) >= limit for limit in LIMITS)


def filled(metric, *cuts):
    for start, end in itertools.pairwise((0, *cuts, N)):
        metric.update(MAPS[start:end], BOXES[start:end])
    return metric.compute()


@pytest.mark.parametrize("multi_contour", [False, True])
def test_every_size_is_counted_at_the_threshold_that_is_best_for_all(multi_contour):
    ious = (0.3, 0.5)
    found = filled(MaxBoxAcc(ious, multi_contour, size_limits=LIMITS))
    right = np.stack(
        [
            hits_of_distinct(one.numpy(), boxes, multi_contour=multi_contour, ious=ious)
            for one, boxes in zip(MAPS, BOXES, strict=True)
        ]
    )
    sizes = np.array([size_of(boxes) for boxes in BOXES])
    best = right.sum(axis=0).argmax(axis=1)
    of_sizes = []
    for number, size in enumerate(("small", "medium", "large")):
        accuracies = [right[sizes == number, k, at].mean() for k, at in enumerate(best)]
        assert [found[f"max_box_acc_{iou}_{size}"].item() for iou in (30, 50)] == accuracies
        assert found[f"max_box_acc_{size}"].item() == pytest.approx(np.mean(accuracies), abs=1e-15)
        assert found[f"images_{size}"].item() == (sizes == number).sum() > 0
        of_sizes.append(found[f"images_{size}"] * found[f"max_box_acc_50_{size}"])
    # At one threshold the sizes add up to the whole.
    assert (sum(of_sizes) / N).item() == pytest.approx(found["max_box_acc_50"].item(), abs=1e-15)
    assert len({found[f"max_box_acc_30_{size}"].item() for size in ("small", "medium", "large")}) > 1


def test_without_limits_nothing_changes():
    plain, by_size = MaxBoxAccV2(), MaxBoxAccV2(size_limits=LIMITS)
    numbers, more = filled(plain), filled(by_size)
    assert {name: more[name] for name in numbers} == numbers
    assert not any("small" in name or "images" in name for name in numbers)
    assert set(plain.settings) == {"iou_thresholds", "multi_contour", "num_thresholds"}
    assert set(plain.state_dict()) == {"right", "images", "graded", "settings_json"}


def test_batches_split_anyhow_give_equal_numbers():
    wanted = filled(MaxBoxAcc(size_limits=LIMITS))
    for cuts in ((1,), (3, 20), tuple(range(1, N)), (0, 0, 5)):
        assert filled(MaxBoxAcc(size_limits=LIMITS), *cuts) == wanted


def test_limits_belong_to_the_larger_size_and_the_largest_box_counts():
    maps = torch.zeros(4, 10, 10)
    maps[:, 2:5, 2:5] = 1
    # 10, 9, 40 and 41 pixels of 100, x1 and y1 inside.
    boxes = [[[0, 0, 1, 4]], [[0, 0, 2, 2]], [[0, 0, 3, 9], [5, 5, 5, 5]], [[0, 0, 0, 0], [0, 0, 40, 0]]]
    metric = MaxBoxAcc(size_limits=(0.1, 0.4))
    metric.update(maps, boxes)
    found = metric.compute()
    assert [found[f"images_{size}"].item() for size in ("small", "medium", "large")] == [1, 1, 2]
    raw = MaxBoxAcc(size_limits=(0.1, 0.4))
    raw.update(maps, boxes, size=(20, 20))
    found = raw.compute()
    assert [found[f"images_{size}"].item() for size in ("small", "medium", "large")] == [2, 2, 0]
    assert found["max_box_acc_50_large"].isnan()
    assert found["max_box_acc_large"].isnan()


def test_a_sweep_may_be_shared():
    swept = sweep(MAPS, BOXES)
    for make in (MaxBoxAcc, MaxBoxAccV2):
        metric = make(size_limits=LIMITS)
        metric.update(swept)
        assert metric.compute() == filled(make(size_limits=LIMITS))
    without = Swept(swept.maxima, swept.iou, swept.boxes, swept.iou_of_any)
    metric = MaxBoxAcc(size_limits=LIMITS)
    with pytest.raises(ValueError, match="maps was swept without largest_shares, which size_limits asks for"):
        metric.update(without)
    assert int(metric.images) == 0
    MaxBoxAcc().update(without)


def test_saved_and_resumed():
    first, second = MaxBoxAcc(size_limits=LIMITS), MaxBoxAcc(size_limits=LIMITS)
    first.update(MAPS[:9], BOXES[:9])
    stored = io.BytesIO()
    torch.save(first.state_dict(), stored)
    stored.seek(0)
    second.load_state_dict(torch.load(stored))
    second.update(MAPS[9:], BOXES[9:])
    assert second.compute() == filled(MaxBoxAcc(size_limits=LIMITS))
    with pytest.raises(RuntimeError, match=r"size_limits is \[0.2, 0.3\] here and \[0.1, 0.3\] in the state"):
        MaxBoxAcc(size_limits=(0.2, 0.3)).load_state_dict(first.state_dict())
    with pytest.raises(RuntimeError, match=r"size_limits is unknown here and \[0.1, 0.3\] in the state"):
        MaxBoxAcc().load_state_dict(first.state_dict())


@pytest.mark.parametrize("limits", [(0.1,), (0.1, 0.2, 0.3), 0.1, "ab", (None, 1)])
def test_limits_are_two_numbers(limits):
    with pytest.raises(TypeError, match="size_limits must be two shares of the image, 0 < medium < large <= 1, got"):
        MaxBoxAcc(size_limits=limits)


@pytest.mark.parametrize("limits", [(0.3, 0.1), (0.2, 0.2), (0, 0.5), (0.1, 1.1), (float("nan"), 0.5), (1024, 9216)])
def test_limits_are_shares_in_order(limits):
    with pytest.raises(ValueError, match="0 < medium < large <= 1, got"):
        MaxBoxAccV2(size_limits=limits)


@pytest.mark.gpu
def test_on_cuda():
    there = MaxBoxAccV2(size_limits=LIMITS).to("cuda")
    there.update(MAPS.cuda(), BOXES)
    here = filled(MaxBoxAccV2(size_limits=LIMITS))
    assert {name: value.cpu() for name, value in there.compute().items()} == here
