"""What localization finds, in the forms that other libraries take."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import fastcam

FEATURES = torch.rand(3, 5, 6, 7, generator=torch.Generator().manual_seed(0)) - 0.3
WEIGHT = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
INDEX = [[2, 0], [3, 3], [1, 0]]


def test_coco_results_and_torchmetrics_hold_the_same_boxes():
    found = fastcam.localize(FEATURES, WEIGHT, INDEX, size=(20, 31))
    detections = found.to_torchmetrics()
    assert [list(one) for one in detections] == [["boxes", "scores", "labels"]] * 3
    results = found.to_coco(image_ids=[10, 20, 30], category_ids={0: 100, 1: 101, 2: 102, 3: 103})
    assert [one["image_id"] for one in results] == [10, 10, 20, 20, 30, 30]
    assert [one["category_id"] for one in results] == [102, 100, 103, 103, 101, 100]
    boxes = torch.cat([one["boxes"] for one in detections]).tolist()
    assert [one["bbox"] for one in results] == [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in boxes]
    scored = dataclasses.replace(found, scores=torch.arange(6.0).reshape(3, 2))
    assert [one["score"] for one in scored.to_coco()] == [0, 1, 2, 3, 4, 5]
    assert torch.cat([one["scores"] for one in scored.to_torchmetrics()]).tolist() == [0, 1, 2, 3, 4, 5]


def test_coco_results_need_labels_and_as_many_ids():
    found = fastcam.localize(FEATURES, WEIGHT[:3], size=(20, 31))
    with pytest.raises(ValueError, match="to_coco needs labels"):
        found.to_coco()
    found = fastcam.localize(FEATURES, WEIGHT, 0, size=(20, 31))
    with pytest.raises(ValueError, match="image_ids must have the length of the 3 images, got 2"):
        found.to_coco(image_ids=[1, 2])
