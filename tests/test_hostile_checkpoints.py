"""A checkpoint names only what fastcam registers, and takes no more memory than it is worth."""

import os
import zipfile

import pytest
import torch
from hostile import bomb

pytest.importorskip("lightning_fabric")
pytest.importorskip("PIL.Image")

import fastcam
from fastcam.checkpoint import CheckpointError, read_trained
from fastcam.data.synthetic import write_synthetic
from fastcam.models import read_state_dict
from fastcam.sources import LoadError
from fastcam.training import TrainingConfig, start_engine, train


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    write_synthetic(folder / "birds", train=8, test=4, classes=2, size=40)
    config = TrainingConfig(
        data=str(folder / "birds"),
        model="vgg16",
        model_options={"width": 1 / 16},
        method="acol",
        epochs=1,
        batch_size=8,
        hold_out=0,
        resize=40,
        crop=32,
        workers=0,
    )
    return torch.load(train(config, folder / "run", start_engine(device="cpu")).checkpoint)


HOSTILE_NAMES = [
    "innocent:run",
    "os:abort",
    "os:system",
    "timm:resnet50",
    "torchvision:resnet50",
    "hf:google/vit",
    "../run/last.pt",
    "",
    None,
    3,
    True,
    ["vgg16"],
    bomb(),
    {"vgg16": 1},
    "vgg16\0",
    "VGG16",
]
HOSTILE_OPTIONS = [
    {"width": 1e300},
    {"width": float("nan")},
    {"width": -1},
    {"width": "0.0625"},
    {"width": bomb()},
    {"width": 8},
    {"width": True},
    {"weights": "/etc/passwd"},
    {"pooling": "tap"},
    {"num_classes": 10**9},
    {"self": 1},
    {"__class__": 1},
    {3: 4},
    "width",
    [("width", 1 / 16)],
    bomb(),
    None,
]
HOSTILE_INPUTS = [
    {"resize": [10**6, 10**6]},
    {"resize": [32, 32], "crop": [10**6, 10**6]},
    {"resize": [0, 32]},
    {"resize": [-1, 32]},
    {"resize": [32.0, 32]},
    {"resize": "32"},
    {"resize": bomb()},
    {"resize": [bomb(), bomb()]},
    {"mean": [0, 0]},
    {"mean": ["0", 0, 0]},
    {"std": [0, 1, 1]},
    {"std": [float("inf"), 1, 1]},
    {"filter": "innocent:run"},
    {"filter": bomb()},
    {"path": "/etc/passwd"},
    bomb(),
    None,
    [],
]
HOSTILE_CHECKPOINTS = [
    *({"config": {"model": name}} for name in HOSTILE_NAMES),
    *({"config": {"method": name}} for name in HOSTILE_NAMES),
    *({"config": {"pooling": name}} for name in HOSTILE_NAMES),
    *({"config": {"model_options": options}} for options in HOSTILE_OPTIONS),
    *({"config": {"method_options": options}} for options in HOSTILE_OPTIONS),
    *({"config": {"tap_threshold": value}} for value in (-1, 2, float("nan"), "0.1", bomb(), True, [0.1])),
    *({"inputs": inputs} for inputs in HOSTILE_INPUTS),
    *({"classes": value} for value in ([], ["a"], ["a"] * 3, "ab", [1, 2], [None, None], bomb(), None, ("a", "b"))),
    *({"state_dict": value} for value in ({}, [], None, {"a": 1}, {3: torch.zeros(1)}, bomb())),
    *({"method_state": value} for value in ({}, [], None, {"a": torch.zeros(1)}, bomb())),
    *({"fastcam": value} for value in (0, 99, "3", None, bomb(), True, 3.5)),
    {"config": None},
    {"config": bomb()},
]


@pytest.mark.parametrize("hostile", HOSTILE_CHECKPOINTS, ids=lambda hostile: next(iter(hostile)))
def test_a_checkpoint(hostile, checkpoint, guarded):
    content = dict(checkpoint)
    for key, value in hostile.items():
        nested = isinstance(value, dict) and isinstance(content[key], dict) and key in ("config", "inputs")
        content[key] = {**content[key], **value} if nested else value
    torch.save(content, guarded / "last.pt")
    with pytest.raises(LoadError) as caught:
        fastcam.load("last.pt")
    assert len(str(caught.value)) < 3000


def test_there_are_many():
    assert len(HOSTILE_CHECKPOINTS) >= 120


def test_a_checkpoint_as_it_was_is_taken(checkpoint, guarded):
    torch.save(checkpoint, guarded / "last.pt")
    assert fastcam.load("last.pt", device="cpu").classes == ("class_00", "class_01")
    # What a user says goes before what a file may say.
    torch.save(
        {**checkpoint, "config": {**checkpoint["config"], "data": "os:abort", "weights": "/x"}}, guarded / "b.pt"
    )
    assert fastcam.load("b.pt", device="cpu").inputs.size == (32, 32)


def test_a_pickle_that_would_run_something(guarded):
    class Runs:
        def __reduce__(self):
            return (os.system, ("touch ran",))

    torch.save({"fastcam": 3, "config": Runs()}, guarded / "last.pt")
    for read in (fastcam.load, read_trained, read_state_dict):
        with pytest.raises((LoadError, CheckpointError, ValueError)):
            read(guarded / "last.pt")


def compressed(path, target):
    """The same archive, compressed: zeros take a thousandth of their room."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for one in old.infolist():
            new.writestr(one.filename, old.read(one))


def test_weights_that_grow_when_they_are_read(guarded):
    torch.save({"fc.weight": torch.zeros(4096, 4096)}, guarded / "large.pt")
    compressed(guarded / "large.pt", guarded / "small.pt")
    assert (guarded / "small.pt").stat().st_size < 1_000_000
    with pytest.raises(ValueError, match="larger when read than on the disk"):
        read_state_dict(guarded / "small.pt")


def test_a_classifier_of_a_billion_classes(guarded):
    torch.save({"classifier.weight": torch.zeros(1, 1).expand(10**9, 1280)}, guarded / "w.pt")
    with pytest.raises(LoadError, match="is larger than the file"):
        fastcam.load("efficientnet-lite0", weights="w.pt")
