"""What is right: boxes beside ground truth, classes beside labels."""

import numpy as np
import pytest

pytest.importorskip("torchmetrics")

import torch

import fastcam
from fastcam.evaluation.judge import Judge, Judged, correct_classes
from fastcam.evaluation.truth import Truth
from fastcam.metrics import GTKnownLoc, TopKAccuracy, TopKLoc

BOXES = (np.array([[0, 0, 9, 9], [20, 20, 39, 29]]), None, np.array([[4, 6, 27, 33]]), np.array([[0, 0, 55, 55]]))
TRUTH = Truth(np.array([0, 0, 1, 2]), BOXES, "exclusive")


def test_best_ious_are_over_each_images_own_boxes():
    box = np.array([10.0, 10, 39, 39])
    expected = [
        float(fastcam.box_iou(torch.tensor([box.tolist()]), torch.from_numpy(boxes), inclusive=True).max())
        for boxes in BOXES
        if boxes is not None
    ]
    ious = Judge(TRUTH, fastcam.AUTHORS).ious(torch.from_numpy(box)[None])
    assert ious[[0, 2, 3]].tolist() == expected
    assert ious[1] == 0
    assert Judge(TRUTH, fastcam.PAPER).ious(torch.tensor([[0.0, 0, 9, 18]]))[0] == 0.5


@pytest.mark.parametrize("protocol", fastcam.protocol.NAMED.values())
def test_the_protocols_iou_alone_says_how_ends_are_compared(protocol):
    found = torch.tensor([[0.0, 0, 9, 9]])
    for ends, half_open, inclusive in (("exclusive", 81 / 162, 100 / 190), ("inclusive", 81 / 190, 100 / 190)):
        truth = Truth(np.array([0]), (np.array([[0, 0, 18, 9]]),), ends)
        for iou, wanted in (("half-open", half_open), ("inclusive", inclusive)):
            assert Judge(truth, protocol.replace(iou=iou)).ious(found)[0] == wanted


@pytest.mark.parametrize("iou", ["half-open", "inclusive"])
def test_numbers_are_those_of_the_metrics(iou):
    draw = torch.Generator().manual_seed(0)
    corners = torch.randint(0, 12, (60, 3, 4), generator=draw) + torch.tensor([0, 0, 20, 20])
    found, boxes = corners[:, 0].float(), corners[:, 1:]
    logits, labels = torch.randn(60, 9, generator=draw), torch.randint(0, 9, (60,), generator=draw)
    truth = Truth(labels.numpy(), tuple(boxes.numpy()), "exclusive")
    fits = Judge(truth, fastcam.PAPER.replace(iou=iou)).fits(found)
    hits = Judged(fits, correct_classes(logits, labels[:, None].tolist())).hits()
    known, top1 = GTKnownLoc(inclusive=iou == "inclusive"), TopKLoc(box="true", inclusive=iou == "inclusive")
    known.update(found, boxes)
    top1.update(found, boxes, predicted=logits.argmax(1, keepdim=True), labels=labels)
    assert 0 < hits["gt_loc"].mean() == known.compute().item()
    assert 0 < hits["top1_loc"].mean() == top1.compute().item()
    for key, k in (("top1_cls", 1), ("top5_cls", 5)):
        accuracy = TopKAccuracy(k, num_classes=9)
        accuracy.update(logits, labels)
        assert hits[key].mean() == pytest.approx(accuracy.compute().item())


def test_what_there_is_no_truth_for_has_no_number():
    correct = np.array([[True, True], [False, True]])
    assert set(Judged(None, correct).hits()) == {"top1_cls", "top5_cls"}
    assert set(Judged(np.array([True, False]), None).hits()) == {"loc"}
    assert Judged(None, None).hits() == {}


def test_wrong_boxes_are_refused():
    with pytest.raises(ValueError, match=r"boxes must be \(4, 4\) or \(1, 4\), got shape \(3, 4\)"):
        Judge(TRUTH, fastcam.PAPER).fits(torch.zeros(3, 4))
