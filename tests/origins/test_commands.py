"""Networks of other libraries on the command line, where these are installed."""

import json

import pytest
from libraries import library

pytest.importorskip("lightning_fabric")

from command import invoke as run
from command import paint

from fastcam.data.synthetic import write_synthetic


@pytest.fixture(scope="module")
def timm():
    library("timm.data")
    return library("timm")


@pytest.fixture
def here(timm, tmp_path, monkeypatch):
    """A folder with a file of weights of three classes."""
    import torch

    torch.manual_seed(0)
    monkeypatch.chdir(tmp_path)
    torch.save(timm.create_model("test_resnet", num_classes=3).state_dict(), "three.pth")
    return tmp_path


def test_localize(here):
    paint(here / "a.png")
    run("localize", "a.png", "--model", "timm:test_resnet", "--weights", "three.pth", "--out", "out")
    (line,) = (here / "out" / "boxes.csv").read_text().splitlines()[1:]
    assert line.startswith("a.png,")
    assert (here / "out" / "overlays" / "a.png").exists()


@pytest.mark.usefixtures("here")
def test_inspect():
    told = json.loads(run("inspect", "timm:test_resnet", "--weights", "three.pth", "--json").stdout)
    assert (told["classes"], told["exact"], told["inputs"]["fit"]) == (3, True, "cover")
    assert told["source"]["difference"] < 1e-5


def test_evaluate(here):
    write_synthetic(here / "birds", train=3, test=3, classes=3, size=40)
    run(
        "evaluate",
        "--data",
        "birds",
        "--model",
        "timm:test_resnet",
        "--checkpoint",
        "three.pth",
        "--input-size",
        96,
        "--out",
        "out",
    )
    told = json.loads((here / "out" / "evaluation.json").read_text())
    assert 0 <= told["numbers"]["score_maps"]["gt_loc"]["value"] <= 1


def test_a_name_that_does_not_exist(here):
    paint(here / "a.png")
    message = " ".join(run("localize", "a.png", "--model", "timm:test_resnt", "--out", "out", code=2).stderr.split())
    assert "--model" in message
    assert "did you mean 'timm:test_resnet'" in message
