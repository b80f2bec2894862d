"""Extractions whose maps are finished."""

import dataclasses

import pytest
import torch

import fastcam
from fastcam.extractors import MapExtraction


def maps():
    """Two images of two classes; of the last nothing is left."""
    made = torch.zeros(2, 2, 6, 8)
    made[0, 0, 1:4, 2:5] = made[0, 1, 5, 7] = made[1, 0, 0:2, 0:8] = 1
    made[0, 0, 0, 0] = -5
    return made


LOGITS = torch.tensor([[0.0, 1.0, 2.0], [3.0, 3.0, 3.0]])
LABELS = torch.tensor([[2, 0], [1, 1]])


def test_boxes_are_those_of_the_maps_and_scores_the_softmax():
    found = MapExtraction(LOGITS, LABELS, (6, 8), maps()).localize()
    assert found.boxes.tolist() == [[[2, 1, 5, 4], [7, 5, 8, 6]], [[0, 0, 8, 2], [0, 0, 0, 0]]]
    assert found.areas.tolist() == [[9, 1], [16, 0]]
    assert found.is_empty.tolist() == [[False, False], [False, True]]
    assert torch.equal(found.labels, LABELS)
    e = torch.e
    expected = torch.tensor([[e**2, 1.0]]) / (1 + e + e**2)
    torch.testing.assert_close(found.scores, torch.cat([expected, torch.full((1, 2), 1 / 3)]))


def test_nothing_is_left_to_clamp():
    extraction = MapExtraction(LOGITS, LABELS, (6, 8), maps())
    for clamp in (True, False):
        assert torch.equal(extraction.maps(clamp_negative=clamp), maps())
    plain = fastcam.PAPER.replace(clamp_negative=False)
    assert torch.equal(extraction.localize(protocol=plain).boxes, extraction.localize().boxes)


def test_one_class_an_image():
    extraction = MapExtraction(LOGITS, LABELS[:, 0], (6, 8), maps()[:, 0])
    assert extraction.localize().boxes.tolist() == [[2, 1, 5, 4], [0, 0, 8, 2]]


def test_boxes_are_at_the_images_size_unless_another_is_asked_for():
    extraction = MapExtraction(LOGITS[:1], LABELS[:1, 0], (12, 16), maps()[:1, 0])
    assert extraction.localize(return_maps=True).maps.shape == (1, 12, 16)
    assert extraction.localize(size=(6, 8)).boxes.tolist() == [[2, 1, 5, 4]]


def test_labels_of_another_shape():
    extraction = dataclasses.replace(MapExtraction(LOGITS, LABELS, (6, 8), maps()), labels=LABELS[:, 0])
    with pytest.raises(ValueError, match=r"labels must be \(2, 2\), one a map, got shape \(2,\)"):
        extraction.localize()
