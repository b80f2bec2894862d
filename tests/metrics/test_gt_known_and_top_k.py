"""GT-known and Top-k localization, and Top-k accuracy."""

from __future__ import annotations

import pytest
import torch

from fastcam.metrics import GTKnownLoc, TopKAccuracy, TopKLoc

FOUND = torch.tensor([[0.0, 0, 10, 10], [5, 5, 20, 20], [0, 0, 4, 4]])
TRUTH = [[[0, 0, 10, 15]], [[40, 40, 60, 60], [5, 5, 20, 25]], [[10, 10, 20, 20]]]


def test_gt_known_counts_boxes_that_fit_any_truth():
    metric = GTKnownLoc()
    metric.update(FOUND[:2], TRUTH[:2])
    metric.update(FOUND[2:], TRUTH[2:])
    assert metric.compute().item() == pytest.approx(2 / 3)
    strict = GTKnownLoc(iou_threshold=0.7)
    strict.update(FOUND, TRUTH)
    assert strict.compute().item() == pytest.approx(1 / 3)


def test_the_threshold_itself_is_enough_and_inclusive_boxes_are_larger():
    found = torch.tensor([[0, 0, 9, 9]])
    half_open, inclusive = GTKnownLoc(), GTKnownLoc(inclusive=True)
    for metric in (half_open, inclusive):
        metric.update(found, [[[0, 0, 18, 9]]])  # 81 / 162; 100 / 190
    assert (half_open.compute().item(), inclusive.compute().item()) == (1, 1)
    narrow = GTKnownLoc(iou_threshold=0.51), GTKnownLoc(iou_threshold=0.51, inclusive=True)
    for metric in narrow:
        metric.update(found, [[[0, 0, 18, 9]]])
    assert [metric.compute().item() for metric in narrow] == [0, 1]


def top_k(found, predicted, labels, **options):
    metric = TopKLoc(**options)
    metric.update(found, [[[0, 0, 10, 10]]] * len(labels), predicted=torch.tensor(predicted), labels=labels)
    return metric.compute().item()


GOOD, BAD = [0.0, 0, 10, 9], [50.0, 50, 60, 60]


def test_of_predicted_classes_the_box_of_the_true_one_must_fit():
    found = torch.tensor([[GOOD, BAD], [BAD, GOOD], [GOOD, GOOD], [BAD, BAD]])
    predicted, labels = [[3, 1], [3, 1], [5, 6], [3, 1]], [3, 1, 3, 3]
    assert top_k(found, predicted, labels, k=1) == 1 / 4
    assert top_k(found, predicted, labels, k=2) == 2 / 4


def test_of_the_true_class_there_is_one_box():
    found = torch.tensor([GOOD, GOOD, GOOD, BAD])
    predicted, labels = [[3, 1], [3, 1], [5, 6], [3, 1]], [3, 1, 3, 3]
    assert top_k(found, predicted, labels, k=1, box="true") == 1 / 4
    assert top_k(found, predicted, labels, k=2, box="true") == 2 / 4


def test_both_ways_agree_on_the_first_class():
    random = torch.Generator().manual_seed(0)
    found = 5 * torch.rand(50, 1, 4, generator=random) + torch.tensor([0.0, 0, 5, 5])
    predicted = torch.randint(0, 3, (50, 4), generator=random).tolist()
    labels = torch.randint(0, 3, (50,), generator=random)
    truth = top_k(found[:, 0], predicted, labels, box="true")
    assert top_k(found, predicted, labels) == truth
    assert 0 < truth < 1


def test_top_k_accuracy_is_the_share_of_images():
    scores = torch.tensor([[0.1, 0.2, 0.7], [0.5, 0.4, 0.1], [0.6, 0.3, 0.1]])
    for k, wanted in ((1, 1 / 3), (2, 2 / 3), (3, 1)):
        metric = TopKAccuracy(k, num_classes=3)
        metric.update(scores, torch.tensor([1, 2, 0]))
        assert metric.compute().item() == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"found": FOUND}, ValueError, r"found must be \(N, T, 4\)"),
        ({"found": FOUND[:, None]}, ValueError, "found must hold a box for each of the first 2 classes"),
        ({"found": [1]}, ValueError, r"found must be \(N, T, 4\)"),
        ({"found": "1"}, TypeError, "found must be a tensor"),
        (
            {"predicted": torch.rand(3, 4)},
            TypeError,
            "predicted must hold classes, the likeliest first, got .*: logits",
        ),
        ({"predicted": torch.ones(3, 1).long()}, ValueError, r"predicted must be \(3, T\), T at least 2"),
        ({"predicted": 3}, TypeError, "predicted must be a tensor"),
        ({"labels": [1, 2]}, ValueError, r"labels must be \(3,\) whole numbers"),
        ({"labels": torch.rand(3)}, ValueError, r"labels must be \(3,\) whole numbers"),
        ({"boxes": TRUTH[:2]}, ValueError, "for each of the 3 images, got 2"),
    ],
)
def test_what_is_wrong_is_named_and_not_counted(changed, error, message):
    given = {"found": torch.rand(3, 2, 4), "boxes": TRUTH, "predicted": torch.ones(3, 2).long(), "labels": [1, 2, 3]}
    given |= changed
    metric = TopKLoc(k=2)
    with pytest.raises(error, match=message):
        metric.update(given["found"], given["boxes"], predicted=given["predicted"], labels=given["labels"])
    assert int(metric.images) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TopKLoc(0), "k must be a whole number, at least 1, got 0"),
        (lambda: TopKLoc(box="best"), "box must be 'predicted' or 'true', got 'best'"),
        (lambda: TopKLoc(iou_threshold=50), r"iou_threshold must lie in \(0, 1\], got 50"),
        (lambda: GTKnownLoc(0), r"iou_threshold must lie in \(0, 1\], got 0"),
    ],
)
def test_wrong_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
