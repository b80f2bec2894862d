"""What needs no network."""

import numpy as np
import pytest

pytest.importorskip("torchmetrics")

import torch

import fastcam
from fastcam.evaluation.settings import Settings
from fastcam.evaluation.trivial import (
    as_found,
    centred_box,
    gaussian,
    mean_box,
    sweep_gaussian,
    trivial_boxes,
    whole_image,
)
from fastcam.evaluation.truth import Truth
from fastcam.inputs import Inputs
from fastcam.metrics import MaxBoxAcc

TRUTH = [np.array([[0, 0, 9, 9], [20, 20, 39, 29]]), None, np.array([[4, 6, 27, 33]]), np.array([[0, 0, 55, 55]])]
USED = np.array([True, False, True, True])


def test_boxes():
    assert whole_image((10, 20)).tolist() == [0, 0, 20, 10]
    x0, y0, x1, y1 = centred_box((100, 200))
    assert (x1 - x0) == pytest.approx(140)
    assert (y1 - y0) == pytest.approx(70)
    assert x0 + x1 == pytest.approx(200)
    assert (
        mean_box(TRUTH).tolist()
        == np.mean([[0, 0, 9, 9], [20, 20, 39, 29], [4, 6, 27, 33], [0, 0, 55, 55]], 0).tolist()
    )
    assert mean_box([None, np.zeros((0, 4), int)]) is None


def test_a_box_has_the_ends_of_a_map_that_covers_the_same():
    size = (50, 100)
    for box in (whole_image(size), centred_box(size, side=0.5)):
        heat = np.zeros(size)
        x0, y0, x1, y1 = box.round().astype(int)
        heat[y0:y1, x0:x1] = 1
        heat[25, 50] = 0  # A map without a contrast has no box.
        # As wsolevaluation has it, and half-open.
        found = fastcam.boxes_from_maps(torch.from_numpy(heat)[None], protocol=fastcam.WSOLEVAL).boxes
        assert found[0].tolist() == as_found(box.round(), size, fastcam.WSOLEVAL).tolist()
        assert fastcam.boxes_from_maps(torch.from_numpy(heat)[None]).boxes[0].tolist() == box.round().tolist()
        assert as_found(box, size, fastcam.PAPER) is box


def test_the_gaussian_is_centred_and_counted_as_a_score_map_is():
    heat = gaussian((56, 56))
    assert (heat.min(), heat.max()) == (0, 1)
    np.testing.assert_allclose(heat, heat[::-1, ::-1], atol=1e-12)
    settings = Settings(Inputs((56, 56)), num_thresholds=100)
    for metric, several in zip(sweep_gaussian(TRUTH, USED, settings), (False, True), strict=True):
        plain = MaxBoxAcc((0.3, 0.5, 0.7), several, 100)
        plain.update(np.stack([heat] * 3), [boxes for boxes in TRUTH if boxes is not None])
        assert metric.right.equal(plain.right)
        assert metric.images == plain.images


def test_boxes_have_the_ends_that_a_protocol_finds_and_compares():
    boxes = (np.array([[0, 0, 10, 20]]), np.array([[20, 10, 30, 40]]))
    for ends in ("exclusive", "inclusive"):
        training = Truth(np.zeros(2, np.int64), boxes, ends)
        for protocol in fastcam.protocol.NAMED.values():
            found = {name: box.tolist() for name, box in trivial_boxes((100, 200), training, protocol).items()}
            clipped = protocol == fastcam.WSOLEVAL
            assert found["whole_image"] == ([0, 0, 199, 99] if clipped else [0, 0, 200, 100])
            assert found["centred_box"] == pytest.approx([30, 15, 170, 85])
            # Where the data's ends are last pixels inside, a half-open comparison takes them one further.
            further = ends == "inclusive" and protocol.iou == "half-open"
            assert found["mean_training_box"] == ([10, 5, 21, 31] if further else [10, 5, 20, 30])
    assert "mean_training_box" not in trivial_boxes((100, 200), None, fastcam.PAPER)


def test_the_mean_box_is_of_all_boxes_wherever_it_is_asked_for():
    training = Truth(np.zeros(4, np.int64), tuple(TRUTH), "exclusive")
    assert trivial_boxes((56, 56), training, fastcam.PAPER)["mean_training_box"].tolist() == mean_box(TRUTH).tolist()
