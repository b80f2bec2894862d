"""Boxes of all classes above a probability: which they are, whose boxes they are, and what is refused."""

from __future__ import annotations

import pytest
import torch

import fastcam
from fastcam import PAPER


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def probabilities(logits, how):
    return logits.softmax(1) if how == "softmax" else logits.sigmoid()


@pytest.mark.parametrize("cam", ["auto", "grad-cam", "layer-cam"])
@pytest.mark.parametrize(("how", "least"), [("softmax", 0.2), ("sigmoid", 0.5), ("sigmoid", 0.0), ("softmax", 1.0)])
@pytest.mark.parametrize("keep", ["largest", "all"])
def test_all_classes_of_at_least_a_probability(model, images, keep, how, least, cam):
    localizer, protocol = fastcam.Localizer(model, cam=cam), PAPER.replace(keep=keep)
    logits, found = localizer(images, min_score=least, probability=how, protocol=protocol, return_masks=True)
    table = probabilities(logits, how)
    assert len(found) == len(images)
    assert torch.equal(found.probabilities, table[found.image, found.labels])
    for i in range(len(images)):
        order = [c for c in table[i].argsort(descending=True).tolist() if table[i, c] >= least]
        boxes, labels = [], []
        for label in order:
            _, one = localizer(images[i : i + 1], label, protocol=protocol)
            own = one.boxes[~one.is_empty] if keep == "largest" else one.boxes
            boxes += own.tolist()
            labels += [label] * len(own)
        assert found[i].labels.tolist() == labels
        assert found[i].boxes.tolist() == boxes
        if keep == "largest":
            assert torch.equal(found[i].scores, found[i].probabilities)
    for own, image in zip(found.masks_as("bool", of_boxes=True), found.image_boxes(), strict=True):
        assert fastcam.boxes_from_masks(own).boxes.tolist() == image.boxes.tolist()


def test_of_the_classes_that_are_asked_for(model, images):
    localizer = fastcam.Localizer(model)
    logits, found = localizer(images, top_k=3, min_score=0.2)
    table = logits.softmax(1)
    best = table.topk(3).indices
    wanted = [(i, int(c)) for i in range(len(images)) for c in best[i] if table[i, c] >= 0.2]
    _, plain = localizer(images, top_k=3)
    there = {(i, int(c)) for i, c in zip(*(~plain.is_empty).nonzero().T.tolist(), strict=True)}
    there = {(i, int(best[i, k])) for i, k in there}
    assert list(zip(found.image.tolist(), found.labels.tolist(), strict=True)) == [
        one for one in wanted if one in there
    ]
    _, one = localizer(images, 2, min_score=0.0)
    assert set(one.labels.tolist()) == {2}


def test_the_probability_of_what_is_found_without_a_limit(model, images):
    logits, found = fastcam.Localizer(model)(images, top_k=2, probability="sigmoid")
    assert torch.equal(found.scores, logits.sigmoid().gather(1, found.labels))


def test_no_images(model, images):
    _, found = fastcam.Localizer(model)(images[:0], [], min_score=0.5)
    assert len(found) == 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"min_score": 1.5}, ValueError, r"min_score must lie in \[0, 1\], got 1.5"),
        ({"min_score": float("nan")}, ValueError, r"min_score must lie in \[0, 1\], got nan"),
        ({"min_score": "0.5"}, TypeError, "min_score must be a number in .* got '0.5'"),
        ({"min_score": True}, TypeError, "min_score must be a number in .* got True"),
        ({"probability": "logistic"}, ValueError, "probability must be one of 'softmax', 'sigmoid', got 'logistic'"),
    ],
)
def test_what_is_refused(model, images, options, error, message):
    with pytest.raises(error, match=message):
        fastcam.Localizer(model)(images, **options)
    with pytest.raises(error, match=message):
        fastcam.Localizer(model).extract(images).localize(**options)
