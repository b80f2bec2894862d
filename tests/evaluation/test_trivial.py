"""What needs no network."""

import numpy as np
import pytest

pytest.importorskip("torchmetrics")

import torch

import fastcam
from fastcam.evaluation.settings import Settings
from fastcam.evaluation.trivial import as_found, centred_box, gaussian, mean_box, sweep_gaussian, whole_image
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
