import numpy as np
import pytest
import torch

import fastcam
from fastcam import AUTHORS, PAPER, VANILLA
from fastcam.ablation.features import Truth
from fastcam.ablation.rows import FAMILIES, ROWS, THRESHOLDS, Row, aligned_iou, judge


def test_rows_are_the_papers():
    assert [(row.tap, row.nwc, row.pas) for row in ROWS] == [
        (False, False, False),
        (True, False, False),
        (False, True, False),
        (False, False, True),
        (True, True, False),
        (True, False, True),
        (False, True, True),
        (True, True, True),
    ]
    assert ROWS[0].name == "baseline"
    assert ROWS[-1].name == "TAP + NWC + PaS"


def test_the_ends_are_the_named_protocols():
    assert ROWS[0].protocol(PAPER) == VANILLA
    assert ROWS[-1].protocol(PAPER) == PAPER
    assert ROWS[-1].protocol(AUTHORS) == AUTHORS
    assert Row(False, False, True).protocol(AUTHORS) == AUTHORS.replace(clamp_negative=False)


@pytest.mark.parametrize("inclusive", [False, True])
def test_iou_is_box_iou(inclusive):
    draw = torch.Generator().manual_seed(0)
    corners = torch.rand(50, 4, 2, generator=draw).mul(40).round()
    a, b, c = (
        torch.cat([x[:, :2].amin(1), x[:, :2].amax(1)], 1) for x in (corners, corners.flip(1), corners.roll(1, 0))
    )
    got = aligned_iou(a, torch.stack([b, c], 1), inclusive=inclusive)
    for one, two, three, value in zip(a, b, c, got, strict=True):
        wanted = fastcam.box_iou(one[None], torch.stack([two, three]), inclusive=inclusive).max()
        assert value == wanted


@pytest.mark.parametrize("family", FAMILIES)
def test_judged_as_localize_does(family):
    draw = torch.Generator().manual_seed(1)
    features, weight = torch.rand(12, 6, 7, 7, generator=draw).pow(3), torch.randn(4, 6, generator=draw)
    labels = torch.arange(12) % 4
    low = torch.rand(12, 1, 2, generator=draw) * 20
    truth = Truth(labels, torch.cat([low, low + 40], 2))
    logits = torch.randn(12, 4, generator=draw)
    judged = judge(features, weight, logits, truth, (64, 64), FAMILIES[family])
    assert set(judged) == {(nwc, pas) for nwc in (False, True) for pas in (False, True)}
    for (nwc, pas), one in judged.items():
        protocol = Row(False, nwc, pas).protocol(FAMILIES[family].base)
        for threshold, got in ((protocol.threshold, one.found.mean()), (THRESHOLDS[60], one.curve[60])):
            boxes = fastcam.localize(
                features, weight, labels, size=(64, 64), protocol=protocol, threshold=threshold
            ).boxes
            hits = [
                fastcam.box_iou(box[None], true, inclusive=FAMILIES[family].inclusive).item() >= 0.5
                for box, true in zip(boxes, truth.boxes, strict=True)
            ]
            assert got == np.mean(hits)
        assert (one.correct == (logits.argmax(1) == labels).numpy()).all()
