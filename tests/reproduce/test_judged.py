import numpy as np
import pytest
import torch

import fastcam
from fastcam.evaluation import Truth
from fastcam.reproduce.judged import THRESHOLDS, judge_row
from fastcam.reproduce.observed import Observed
from fastcam.reproduce.tables import TABLE_3


@pytest.mark.parametrize("family", TABLE_3.families)
def test_judged_as_localize_does(family):
    draw = torch.Generator().manual_seed(1)
    features, weight = torch.rand(12, 6, 7, 7, generator=draw).pow(3), torch.randn(4, 6, generator=draw)
    labels = torch.arange(12) % 4
    low = torch.randint(0, 20, (12, 1, 2), generator=draw)
    boxes = torch.cat([low, low + 40], 2)
    truth = Truth(labels.numpy(), tuple(boxes.numpy()), "exclusive")
    logits = torch.randn(12, 4, generator=draw)
    maps = {clamped: fastcam.cam(features, weight, labels, clamp_negative=clamped) for clamped in (False, True)}
    protocols = {row.protocol for row in TABLE_3.families[family]}
    assert len(protocols) == 4
    for protocol in protocols:
        one = judge_row(Observed(TABLE_3.trainings[0], logits, maps), protocol, truth, (64, 64))
        for threshold, got in ((protocol.threshold, one.judged.fits.mean()), (THRESHOLDS[60], one.curve[60])):
            found = fastcam.localize(
                features, weight, labels, size=(64, 64), protocol=protocol, threshold=threshold
            ).boxes
            hits = [
                fastcam.box_iou(box[None], true, inclusive=family == "AUTHORS").item() >= 0.5
                for box, true in zip(found, boxes, strict=True)
            ]
            assert got == np.mean(hits)
        assert (one.judged.correct[:, 0] == (logits.argmax(1) == labels).numpy()).all()
