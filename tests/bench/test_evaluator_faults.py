"""The measured faults of evaluators are those that are described."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from evaluator_faults import Evaluator, box_rows, map_rows, table
from sweep_peers import normalized

from fastcam.data.synthetic import synthetic


def test_ious_are_those_that_the_released_code_gives():
    released = Evaluator(plus_one=True, clamped=False)
    first = (0, 0, 9, 9)
    assert released.iou(first, (20, 20, 29, 29)) == 1.0
    assert released.iou(first, (24, 24, 33, 33)) == 49.0
    assert Evaluator(plus_one=True).iou(first, (5, 5, 14, 14)) == pytest.approx(1 / 7)
    assert Evaluator().iou(first, (5, 5, 14, 14)) == 16 / (81 + 81 - 16)
    assert Evaluator().iou(first, (20, 20, 29, 29)) == 0
    half = (0, 0, 10, 5), (0, 0, 10, 10)
    assert Evaluator().right(*half)
    assert not Evaluator(strict=True).right(*half)


def test_boxes():
    scores = np.zeros((12, 12))
    scores[2:5, 3:12] = 1
    assert Evaluator().box(scores) == (3, 2, 12, 5)
    assert Evaluator(clipped=True).box(scores) == (3, 2, 11, 5)
    nothing = np.zeros((12, 12))
    assert Evaluator().box(nothing) == (0, 0, 0, 0)
    assert Evaluator(nothing=(0, 0, 12, 12)).box(nothing) == (0, 0, 12, 12)
    hollow = np.zeros((20, 20))
    hollow[1:8, 1:8], hollow[2:7, 2:7] = 1, 0  # 24 pixels around an area of 36
    hollow[12:17, 10:16] = 1  # 30 pixels, an area of 20 between their centres
    assert Evaluator(threshold=0.5).box(hollow) == (1, 1, 8, 8)
    assert Evaluator(threshold=0.5, by_pixels=True).box(hollow) == (10, 12, 16, 17)


def test_grey_of_colours_does_not_rise_with_the_map():
    grey = cv2.cvtColor(cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_JET), cv2.COLOR_BGR2GRAY)
    assert (np.diff(grey[0].astype(int)) < 0).any()


def test_every_fault_has_its_row():
    birds = synthetic(12, size=48, split="test")
    raw = torch.rand(12, 6, 6, generator=torch.Generator().manual_seed(0)).numpy() - 0.3
    full = np.stack([cv2.resize(one, (48, 48), interpolation=cv2.INTER_CUBIC) for one in raw])
    scores = np.stack([normalized(one, (48, 48)) for one in raw])
    rows = box_rows(scores, birds) + map_rows(full, scores, birds)
    assert len({name for name, *_ in rows}) == 14
    assert len(table(rows).splitlines()) == 16
