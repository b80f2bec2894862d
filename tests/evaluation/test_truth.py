"""Ground truth in evaluated pixels."""

from pathlib import Path

import numpy as np
import pytest
from small_datasets import picture

pytest.importorskip("torchmetrics")

import fastcam
from fastcam.data import Record, Split
from fastcam.evaluation.truth import Truth, ground_truth
from fastcam.inputs import CROP, RESIZE, Inputs


def test_ground_truth_outside_a_crop():
    crop = Inputs((100, 100), (50, 50))
    inside, outside = np.array([[30.0, 30, 60, 60]]), np.array([[0.0, 0, 10, 10]])

    def split(*boxes):
        return Split("toys", "test", (Record("1.jpg", Path("1.jpg"), 0, np.concatenate(boxes), (100, 100)),), ("cube",))

    assert ground_truth(split(outside, inside), crop)[0].tolist() == [[5, 5, 35, 35]]
    with pytest.raises(ValueError, match=r"1\.jpg: all of its boxes lie outside the crop"):
        ground_truth(split(outside), crop)
    skipped = []
    assert list(ground_truth(split(outside), crop, on_skipped=skipped.append)) == [None]
    assert len(skipped) == 1
    assert ground_truth(split(outside), RESIZE)[0].tolist() == [[0, 0, 22, 22]]


def one(*boxes, size=(224, 224), ends="inclusive", path="1.jpg"):
    return Split("toys", "test", (Record("1.jpg", Path(path), 3, np.array(boxes), size),), ("cube",) * 4, ends)


@pytest.mark.parametrize("protocol", fastcam.protocol.NAMED.values())
def test_only_a_half_open_comparison_moves_the_ends_of_last_pixels(protocol):
    inclusive, exclusive = (
        ground_truth(one([10.0, 20, 30, 40], ends=ends), RESIZE).compared(protocol)[0].tolist()
        for ends in ("inclusive", "exclusive")
    )
    shift = int(protocol in (fastcam.PAPER, fastcam.VANILLA))
    assert inclusive == [[10, 20, 30 + shift, 40 + shift]]
    assert exclusive == [[10, 20, 30, 40]]
    # A crop takes last pixels and gives last pixels.
    cropped = ground_truth(one([100.0, 100, 150, 150], size=(256, 256), ends="exclusive"), CROP)
    assert cropped.ends == "inclusive"
    assert cropped.compared(protocol)[0].tolist() == [[84, 84, 133 + shift, 133 + shift]]


def test_ends_that_were_moved_stay():
    truth = ground_truth(one([10.0, 20, 30, 40]), RESIZE).compared(fastcam.PAPER)
    assert truth.compared(fastcam.PAPER)[0].tolist() == [[10, 20, 31, 41]]


def test_parts():
    boxes = np.zeros((1, 4), np.int64)
    truth = Truth(np.arange(4), (boxes, None, boxes[:0], boxes), "inclusive")
    assert truth.used.tolist() == [True, False, True, True]
    assert truth[1:3].labels.tolist() == [1, 2]
    assert list(truth.only(np.array([False, True, True, True])))[:2] == [None, None]
    assert truth.has_boxes
    assert not truth[1:3].has_boxes


def test_a_size_that_the_data_does_not_say_is_the_pictures(tmp_path):
    path = picture(tmp_path / "1.png", size=(48, 64))
    assert ground_truth(one([16.0, 12, 32, 24], size=None, path=path), Inputs((96, 128)))[0].tolist() == [
        [32, 24, 64, 48]
    ]
