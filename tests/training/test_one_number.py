"""A file has one number: training, evaluation and localization run the same network on the same pixels."""

import csv
import json

import pytest

pytest.importorskip("lightning_fabric")

import numpy as np
import torch
from click.testing import CliRunner

import fastcam
from fastcam.cli.main import main
from fastcam.data import read_dataset
from fastcam.data.synthetic import write_synthetic
from fastcam.images import read_picture
from fastcam.methods import METHODS

SETTINGS = ["--model", "vgg16", "--model-option", "width=0.125", "--epochs", "2", "--batch-size", "8", "--lr", "0.02"]
SETTINGS += ["--resize", "72", "--crop", "64", "--workers", "0", "--device", "cpu"]
OPTIONS = {"has": ["--method-option", "patch=8"], "acol": ["--method-option", "threshold=0.5"]}


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("birds") / "birds"
    write_synthetic(folder, train=32, test=21, classes=3, size=72)
    return folder


def run(*arguments):
    result = CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize("protocol", ["paper", "authors"])
@pytest.mark.parametrize("method", METHODS)
def test_train_evaluate_and_localize_agree(method, protocol, birds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = ["--data", birds, *SETTINGS, "--method", method, *OPTIONS.get(method, []), "--protocol", protocol]
    run("train", "--out", "run", *asked)
    trained = json.loads((tmp_path / "run" / "results.json").read_text())["test"]
    run("evaluate", "--checkpoint", "run/last.pt", "--data", birds, "--protocol", protocol, "--out", "report")
    evaluated = json.loads((tmp_path / "report" / "evaluation.json").read_text())["numbers"]["score_maps"]
    assert {name: evaluated[name]["value"] for name in trained} == trained
    pictures = sorted((birds / "images").rglob("test_*.png"))[:3]
    run("localize", *pictures, "--model", "run/last.pt", "--out", "boxes", "--protocol", protocol, "--no-overlay")
    with open("boxes/boxes.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    network = fastcam.load("run/last.pt", device="cpu")
    for row, picture in zip(rows, pictures, strict=True):
        found = network(picture, protocol=fastcam.protocol.NAMED[protocol])
        assert row["class"] == found.names[0]
        assert row["class"] in ("class_00", "class_01", "class_02")
        assert [float(row[name]) for name in ("x0", "y0", "x1", "y1")] == np.round(found.boxes[0], 2).tolist()


def test_localize_and_evaluate_see_the_same_tensors(birds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("train", "--out", "run", "--data", birds, *SETTINGS, "--no-test")
    seen = []
    extract = fastcam.methods.MethodExtractor.extract

    def listen(self, images, *arguments, **options):
        seen[-1] += list(images)
        return extract(self, images, *arguments, **options)

    monkeypatch.setattr(fastcam.methods.MethodExtractor, "extract", listen)
    records = read_dataset(birds, "test")
    pictures = [record.path for record in records]
    for command in (
        ["localize", *pictures, "--model", "run/last.pt", "--out", "boxes", "--no-overlay"],
        ["evaluate", "--checkpoint", "run/last.pt", "--data", birds],
    ):
        seen.append([])
        run(*command)
    # The command tries a network out on noise before the first picture.
    localized, evaluated = (images[-len(pictures) :] for images in seen)
    assert all(torch.equal(one, other) for one, other in zip(localized, evaluated, strict=True))
    network = fastcam.load("run/last.pt", device="cpu")
    assert torch.equal(localized[0], network.images([read_picture(pictures[0])])[0])
