"""``fastcam reproduce figure2`` to ``figure6``: files, what is said, and what is refused."""

import json
from pathlib import Path

import pytest
from command import invoke

from fastcam.data.synthetic import write_synthetic

BACKBONE = ["--model", "vgg16", "--model-option", "width=0.0625", "--weights", "None", "--crop", "32", "--workers", "0"]
TRAINED = [*BACKBONE[:6], "--crop", "32", "--resize", "32", "--epochs", "1", "--hold-out", "0", "--workers", "0"]


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    write_synthetic(folder / "birds", train=32, test=12, classes=2, size=32)
    return folder


@pytest.fixture
def here(birds, monkeypatch):
    monkeypatch.chdir(birds)
    return birds


@pytest.mark.parametrize("name", [f"figure{number}" for number in range(2, 7)])
def test_a_frozen_backbone(here, name):
    options = ["--data", "birds", *BACKBONE, "--out", "out", "--sample", "8"]
    first = invoke("reproduce", name, *options)
    files = {kind: (here / "out" / f"{name}.{kind}").read_bytes() for kind in ("png", "svg", "json")}
    assert files["png"].startswith(b"\x89PNG")
    assert b"<svg" in files["svg"]
    told = json.loads(files["json"])
    assert told["says"] in first.output
    assert (told["figure"], told["pictures"], told["of_pictures"], told["seed"]) == (name, 8, 12, 0)
    # What is kept is taken from there, and the same numbers give the same files.
    invoke("reproduce", name, *options)
    assert files == {kind: (here / "out" / f"{name}.{kind}").read_bytes() for kind in files}


def test_checkpoints(here):  # noqa: ARG001
    for pooling in ("gap", "tap"):
        invoke("train", "--data", "birds", *TRAINED, "--pooling", pooling, "--out", pooling)
    trained = ["--gap", "gap/last.pt", "--tap", "tap/last.pt"]
    invoke("reproduce", "figure2", "--data", "birds", *trained, "--out", "two", "--workers", "0")
    told = json.loads(Path("two/figure2.json").read_text())
    assert set(told["networks"]) == {"GAP", "TAP"}
    invoke("reproduce", "figure6", "--data", "birds", "--pair", "gap/last.pt", "tap/last.pt", "--out", "six")
    assert set(json.loads(Path("six/figure6.json").read_text())["rows"]) == {"VGG16, CAM", "VGG16, CAM + Ours"}
    refused = invoke(
        "reproduce", "figure2", "--data", "birds", "--gap", "tap/last.pt", "--tap", "tap/last.pt", "--out", "x", code=1
    )
    assert "tap/last.pt must be trained with pooling 'gap', got 'tap'" in refused.output
    beside = invoke("reproduce", "figure2", "--data", "birds", *trained, "--model", "vgg16", "--out", "x", code=2)
    assert "--model cannot go with --gap and --tap: the checkpoints say it" in beside.output
    write_synthetic("others", train=8, test=4, classes=3, size=32)
    classes = invoke("reproduce", "figure3", "--data", "others", *trained, "--out", "y", code=1)
    assert "was trained on other classes than the data has: 2 classes and 3" in classes.output
    assert not list(Path().glob("[xy]/figure*"))


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--gap", __file__], 2, "--gap and --tap go together"),
        (["--sample", "0"], 2, "--sample"),
        (["--split", "middle"], 1, "middle"),
        (["--model", "lenet"], 1, "lenet"),
        (["--data", "nowhere"], 1, "nowhere"),
    ],
)
def test_what_is_refused(here, options, code, message):  # noqa: ARG001
    given = {"--data": "birds", **dict(zip(BACKBONE[::2], BACKBONE[1::2], strict=True))}
    given |= dict(zip(options[::2], options[1::2], strict=True))
    if "--gap" in given:
        given = {name: given[name] for name in ("--data", "--gap")}
    arguments = [word for pair in given.items() for word in pair]
    assert message in invoke("reproduce", "figure4", *arguments, "--out", "refused", code=code).output
    assert not list(Path("refused").glob("figure*"))


def test_pictures_without_boxes(here):
    from PIL import Image

    for part in ("train", "test"):
        for name in ("a", "b"):
            (here / "bare" / part / name).mkdir(parents=True, exist_ok=True)
            for number in range(4):
                Image.new("RGB", (32, 32), (9 * number, 0, 0)).save(here / "bare" / part / name / f"{number}.png")
    arguments = ["reproduce", "figure5", "--data", "bare", *BACKBONE, "--out", "bare-out"]
    assert "the figures compare with true boxes" in invoke(*arguments, code=1).output
