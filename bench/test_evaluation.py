"""The field's evaluation of score maps, beside its protocol written with OpenCV and NumPy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from machine import cores
from maps import cell_maps
from row import Contender, Row
from sweep_peers import THRESHOLDS, hits, hits_of_distinct, normalized, pixels

from fastcam.metrics import MaxBoxAcc, MaxBoxAccV2, PxAP

SCRIPT = Path(__file__).with_name("evaluation.py")
SIZE = (224, 224)
MAPS = {"smooth 14x14": ("smooth", 14), "rough 28x28": ("smooth", 28), "noisy 28x28": ("noisy", 28)}
VERSIONS = {"MaxBoxAcc": (MaxBoxAcc, False, (0.5,)), "MaxBoxAccV2": (MaxBoxAccV2, True, (0.3, 0.5, 0.7))}
IMAGES = 16


def score_maps(data, images=IMAGES):
    kind, side = MAPS[data]
    return np.stack([normalized(one, SIZE) for one in cell_maps(kind, images, side).numpy()])


def boxes_of(images):
    corners = np.sort(np.random.default_rng(0).integers(0, SIZE[0], (images, 1, 2, 2)), axis=2)
    return list(corners.reshape(images, 1, 4))


@pytest.mark.parametrize("data", MAPS)
@pytest.mark.parametrize("version", VERSIONS)
def test_max_box_acc(version, data, measured):
    make, multi_contour, ious = VERSIONS[version]
    maps, boxes = score_maps(data), boxes_of(IMAGES)
    metric = make()

    def peer(function):
        counts = np.zeros((len(ious), len(THRESHOLDS)), np.int64)
        for one, truth in zip(maps, boxes, strict=True):
            counts += function(one, truth, multi_contour=multi_contour, ious=ious)
        return counts

    metric.update(maps, boxes)
    for function in (hits, hits_of_distinct):
        assert (peer(function) == metric.right[0].numpy()).all()
    entrants = [
        Contender("fastcam", "fastcam", lambda: metric.update(maps, boxes)),
        Contender("OpenCV, a mask for each threshold", "peer", lambda: peer(hits)),
        Contender("OpenCV, a mask for each level", "peer", lambda: peer(hits_of_distinct)),
    ]
    measured(Row("evaluation", version, data, "224x224", IMAGES, entrants, dtype="float64"))


@pytest.mark.parametrize("data", MAPS)
def test_px_ap(data, measured):
    maps = score_maps(data)
    masks = (np.roll(maps, 20, axis=2) > 0.4).astype(np.uint8)
    masks[:, :40, :50] = 255
    metric = PxAP()
    metric.update(maps, masks)
    wanted = sum(pixels(one, mask) for one, mask in zip(maps, masks, strict=True))
    assert (metric.counts.numpy() == wanted).all()
    entrants = [
        Contender("fastcam", "fastcam", lambda: metric.update(maps, masks)),
        Contender(
            "numpy.histogram", "peer", lambda: [pixels(one, mask) for one, mask in zip(maps, masks, strict=True)]
        ),
        Contender("read the maps", "floor", lambda: torch.from_numpy(maps).sum()),
    ]
    measured(Row("evaluation", "PxAP", data, "224x224", IMAGES, entrants, dtype="float64"))


@pytest.mark.skipif(cores() < 2, reason="needs two processors")
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux alone tells the peak")
def test_fifty_thousand_maps(keep):
    # A process of its own: the peak is that of the evaluation.
    def run():
        command = [sys.executable, str(SCRIPT)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout)

    keep.group = "evaluation"
    told = {"group": "evaluation", "what": "50,000 maps of one .npz, V1 and V2", "data": "smooth"}
    told |= {"size": "14x14 to 224x224", "images": 50_000, "threads": 2}
    keep.extra_info.update(told | keep.pedantic(run))
