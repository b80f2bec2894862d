"""A whole evaluation from Python."""

import json
import warnings
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from small_datasets import cub

pytest.importorskip("torchmetrics")
pytest.importorskip("matplotlib")

import torch

import fastcam
from fastcam.data import DataError, read_cub
from fastcam.evaluation import ClassesError, Outputs, ScoreMapError, ScoreMaps, Settings, evaluate
from fastcam.evaluation.report import described
from fastcam.inputs import Inputs
from fastcam.models import VGG16

SIZE = (64, 64)


@pytest.fixture
def birds(tmp_path):
    return cub(tmp_path / "birds", 12, size=SIZE, boxes=[f"{4 + i} 3 40 {30 + i}" for i in range(12)])


@pytest.fixture
def maps(birds, tmp_path):
    random = np.random.default_rng(0)
    names = [record.id for part in ("train", "test") for record in read_cub(birds, part)]
    np.savez(tmp_path / "maps.npz", **{name: random.normal(size=(6, 6)).astype(np.float32) for name in names})
    return tmp_path / "maps.npz"


def toy(classes=2):
    return fastcam.load(VGG16(num_classes=classes, width=1 / 16), size=SIZE, device="cpu")


def test_score_maps(birds, maps, tmp_path):
    seen = []

    def shown(name, count):
        seen.append((name, count))
        return nullcontext(lambda _: None)

    settings = Settings(Inputs(SIZE), num_thresholds=50)
    done = evaluate(
        maps,
        read_cub(birds, "test"),
        settings,
        thresholds_from=read_cub(birds, "train"),
        training=read_cub(birds, "train"),
        outputs=Outputs(tmp_path / "out", gallery=1, per_image=tmp_path / "rows.csv"),
        progress=shown,
    )
    assert seen == [("score maps", 4), ("score maps", 8), ("images", 4)]
    assert len(done.rows) == 4
    assert done.predictions is None
    told = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert told == done.report.to_json()
    assert told["facts"]["score maps"] == str(maps)
    assert told["facts"]["mean training box"] == "of the train split"
    assert told["numbers"]["score_maps"]["box_acc_50"]["chosen_on"] == "train"
    assert "gt_loc" not in told["numbers"]["whole_image"]
    again = evaluate(ScoreMaps(maps), read_cub(birds, "test"), settings)
    assert again.report.numbers["score_maps"]["max_box_acc_50"] == done.report.numbers["score_maps"]["max_box_acc_50"]
    assert again.rows == []


def test_a_network_writes_nothing_unless_told_to(birds, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    done = evaluate(toy(), read_cub(birds, "test"), with_rows=True)
    assert list((tmp_path / "empty").iterdir()) == []
    assert [row.id for row in done.rows] == [record.id for record in read_cub(birds, "test")]
    assert done.report.facts["geometry"] == "resize, 64x64"
    assert done.report.facts["protocol"] == "paper, percentile 90, threshold 0.35"


def test_classes_that_are_others(birds, tmp_path):
    split = read_cub(birds, "test")
    with pytest.raises(ClassesError, match="the network has 3 classes, CUB has 2"):
        evaluate(toy(3), split)
    assert "loc" in evaluate(toy(3), split, map_class="predicted").report.numbers["score_maps"]
    (tmp_path / "same.txt").write_text("0,0\n1,1,2\n")
    by_file = evaluate(toy(3), split, class_map=tmp_path / "same.txt").report
    assert by_file.facts["map"] == f"of the true class by {tmp_path / 'same.txt'}"
    assert "gt_loc" in evaluate(toy(3), split, class_map={0: (0,), 1: (1, 2)}).report.numbers["score_maps"]


def test_what_is_skipped_is_counted(birds, maps):
    split, settings = read_cub(birds, "test"), Settings(Inputs(SIZE), num_thresholds=50)
    arrays = dict(np.load(maps))
    del arrays[split[1].id]
    np.savez(maps, **arrays)
    with pytest.raises(ScoreMapError, match="no such score map"):
        evaluate(maps, split, settings)
    skipped = []
    done = evaluate(maps, split, settings, on_skipped=skipped.append, skipped=2)
    assert len(skipped) == 1
    assert done.skipped == done.report.facts["skipped"] == 3
    assert done.report.facts["images"] == 3


def test_nothing_to_evaluate_against(birds, maps):
    split = read_cub(birds, "test")
    bare = replace(split, records=tuple(replace(record, boxes=record.boxes[:0]) for record in split))
    with pytest.raises(DataError, match="CUB test: neither boxes nor masks to evaluate against"):
        evaluate(maps, bare)
    with pytest.raises(ValueError, match="gallery needs a folder"):
        Outputs(gallery=3)


def test_the_whole_image_has_the_ends_of_the_boxes_it_stands_beside(tmp_path):
    # 64 x 32 pixels of 64 x 64: with ends clipped to the last pixel 64 * 33 / 64**2, which fits; unclipped, counted
    # with both ends, 65**2 pixels, it does not.
    split = read_cub(cub(tmp_path / "birds", 3, size=SIZE, boxes=["0 0 64 32"] * 3), "test")
    split = replace(split, ends="inclusive", records=(replace(split[0], boxes=np.array([[0.0, 0, 63, 32]])),))
    numbers = evaluate(toy(), split, protocol=fastcam.WSOLEVAL).report.numbers["whole_image"]
    assert numbers["max_box_acc_50"].value == 1
    assert numbers["gt_loc"].value == 1
    beside = evaluate(toy(), split, protocol=fastcam.WSOLEVAL.replace(box_end="exclusive")).report.numbers
    assert beside["whole_image"]["gt_loc"].value == 0
    assert beside["whole_image"]["max_box_acc_50"].value == 1


@pytest.mark.parametrize("ends", ["inclusive", "exclusive"])
@pytest.mark.parametrize("iou", ["half-open", "inclusive"])
def test_the_protocols_iou_counts_and_neither_its_name_nor_its_levels(iou, ends, birds):
    split = replace(read_cub(birds, "test"), ends=ends)
    network = toy()
    for base in fastcam.protocol.NAMED.values():
        protocol = base.replace(iou=iou)
        done = evaluate(network, split, protocol=protocol)
        shift = int(ends == "inclusive" and iou == "half-open")
        fits = []
        for record, box in zip(split, done.predictions.boxes, strict=True):
            truth = network.inputs.boxes(record.boxes, record.size, ends=ends) + np.array([0, 0, shift, shift])
            found, truth = torch.from_numpy(box[None]), torch.from_numpy(truth)
            fits.append(fastcam.box_iou(found, truth, inclusive=iou == "inclusive").max().item() >= 0.5)
        assert done.predictions.fits.tolist() == fits


def test_a_protocols_name():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert described(fastcam.AUTHORS.replace(percentile=95)) == "authors, percentile 95, threshold 0.35"
        assert described(fastcam.PAPER.replace(iou="inclusive")) == "custom, percentile 90, threshold 0.35"
