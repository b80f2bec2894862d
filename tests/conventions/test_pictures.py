"""What a network finds in a picture is exported in the picture's own pixels, under the names that it knows."""

from xml.etree import ElementTree

import numpy as np
import pytest
from libraries import library

import fastcam
from fastcam.network import Found

FOUND = Found(
    boxes=np.array([[4.0, 2, 30, 40], [0, 0, 0, 0], [10.6, 0, 80, 47.5]]),
    labels=np.array([2, 0, 1]),
    names=("rocket", "cat", "dog"),
    scores=np.array([0.5, 0.3, 0.125], np.float32),
    size=(48, 80),
)


def test_coco_and_torchmetrics():
    assert FOUND.to_coco([7]) == [
        {"image_id": 7, "category_id": 2, "bbox": [4, 2, 26, 38], "score": 0.5},
        {"image_id": 7, "category_id": 1, "bbox": [10.6, 0, 80 - 10.6, 47.5], "score": 0.125},
    ]
    assert FOUND.to_torchmetrics()[0]["labels"].tolist() == [2, 1]


def test_files(tmp_path):
    (path,) = FOUND.to_voc(tmp_path, files=["a.png"])
    root = ElementTree.parse(path)
    assert [one.text for one in root.iter("name")] == ["rocket", "dog"]
    assert [[int(value.text) for value in box] for box in root.iter("bndbox")] == [[5, 3, 30, 40], [12, 1, 80, 48]]
    (path,) = FOUND.to_yolo(tmp_path, files=["a.png"], scores=True)
    first = [float(value) for value in path.read_text().splitlines()[0].split()]
    assert first == pytest.approx([2, 17 / 80, 21 / 48, 26 / 80, 38 / 48, 0.5])


def test_torchvision():
    library("torchvision")
    (one,) = FOUND.to_tv_tensors()
    assert one["boxes"].canvas_size == (48, 80)


def test_a_network_itself():
    pytest.importorskip("PIL")
    network = fastcam.load(
        fastcam.models.VGG16(num_classes=3, width=1 / 16), classes=("cat", "dog", "rocket"), size=(64, 64), device="cpu"
    )
    for keep in ("largest", "all"):
        found = network(np.zeros((48, 80, 3), np.uint8), protocol=fastcam.PAPER.replace(keep=keep))
        assert len(found.to_coco()) == (~found.is_empty).sum()


def test_prompts_need_maps():
    with pytest.raises(ValueError, match="a Localization with return_maps=True"):
        FOUND.to_sam_prompts()
