"""What stands in a file is never run, never leaves its folder, and takes no more memory than it is worth."""

import csv
import os
import resource
import struct
import subprocess
import sys
import zipfile
import zlib

import datasets
import pytest
import torch

pytest.importorskip("lightning_fabric")
pytest.importorskip("PIL.Image")

import fastcam
from fastcam.checkpoint import CheckpointError, read_trained
from fastcam.data import DataError, read_cub, read_imagenet, read_mask, read_metadata
from fastcam.data.synthetic import write_synthetic
from fastcam.export import write_table
from fastcam.images import PictureError, picture_size, read_picture
from fastcam.models import read_classes, read_state_dict
from fastcam.sources import LoadError
from fastcam.training import ConfigError, TrainingConfig, read_config, start_engine, train

INNOCENT = """
import pathlib
pathlib.Path("ran").touch()
def run():
    pathlib.Path("ran").touch()
"""


def bomb(depth=40):
    """A list that is small in memory and in a file, and endless when it is written out."""
    value = [1]
    for _ in range(depth):
        value = [value, value]
    return value


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


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with a module that would leave a trace, which nothing may."""
    (tmp_path / "innocent.py").write_text(INNOCENT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield tmp_path
    assert not (tmp_path / "ran").exists()
    assert "innocent" not in sys.modules
    # Kilobytes: nothing here is worth half a gigabyte.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


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
def test_a_checkpoint(hostile, checkpoint, here):
    content = dict(checkpoint)
    for key, value in hostile.items():
        nested = isinstance(value, dict) and isinstance(content[key], dict) and key in ("config", "inputs")
        content[key] = {**content[key], **value} if nested else value
    torch.save(content, here / "last.pt")
    with pytest.raises(LoadError) as caught:
        fastcam.load("last.pt")
    assert len(str(caught.value)) < 3000


def test_there_are_many():
    assert len(HOSTILE_CHECKPOINTS) >= 120


def test_a_checkpoint_as_it_was_is_taken(checkpoint, here):
    torch.save(checkpoint, here / "last.pt")
    assert fastcam.load("last.pt", device="cpu").classes == ("class_00", "class_01")
    # What a user says goes before what a file may say.
    torch.save({**checkpoint, "config": {**checkpoint["config"], "data": "os:abort", "weights": "/x"}}, here / "b.pt")
    assert fastcam.load("b.pt", device="cpu").inputs.size == (32, 32)


def test_a_pickle_that_would_run_something(here):
    class Runs:
        def __reduce__(self):
            return (os.system, ("touch ran",))

    torch.save({"fastcam": 3, "config": Runs()}, here / "last.pt")
    for read in (fastcam.load, read_trained, read_state_dict):
        with pytest.raises((LoadError, CheckpointError, ValueError)):
            read(here / "last.pt")


def compressed(path, target):
    """The same archive, compressed: zeros take a thousandth of their room."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for one in old.infolist():
            new.writestr(one.filename, old.read(one))


def test_weights_that_grow_when_they_are_read(here):
    torch.save({"fc.weight": torch.zeros(4096, 4096)}, here / "large.pt")
    compressed(here / "large.pt", here / "small.pt")
    assert (here / "small.pt").stat().st_size < 1_000_000
    with pytest.raises(ValueError, match="larger when read than on the disk"):
        read_state_dict(here / "small.pt")


def test_a_classifier_of_a_billion_classes(here):
    torch.save({"classifier.weight": torch.zeros(1, 1).expand(10**9, 1280)}, here / "w.pt")
    with pytest.raises(LoadError, match="is larger than the file"):
        fastcam.load("efficientnet-lite0", weights="w.pt")


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"8" * 8, struct.pack("<Q", 2**60) + b"{}"])
def test_safetensors(content, here):
    pytest.importorskip("safetensors")
    (here / "w.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"w\.safetensors"):
        read_state_dict(here / "w.safetensors")


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "!!python/object/apply:os.system ['touch ran']"),
        ("a.yaml", "data: !!python/name:os.system"),
        ("a.yaml", "model_options: {width: !!python/object/new:os.system ['touch ran']}"),
        ("a.yaml", "lr: 1\nlr: 2"),
        ("a.yaml", "model_options: {width: 1, width: 2}"),
        ("a.yaml", "a: &a 1\nb: *a"),
        ("a.yaml", LAUGHS),
        ("a.yaml", "[" * 3000),
        ("a.yaml", "lr: 2020-13-45"),
        ("a.yaml", "- 1"),
        ("a.yaml", "1: 2"),
        ("a.yaml", "x: " + "y" * (1 << 21)),
        ("a.toml", "a = 1\na = 2"),
        ("a.toml", "a = " + "[" * 3000),
        ("a.toml", "\xff"),
        ("a.toml", "x = '" + "y" * (1 << 21) + "'"),
        ("a.json", "{}"),
    ],
)
def test_settings(name, text, here):
    (here / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=name) as caught:
        read_config(here / name)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("name", ["innocent:run", "os:abort", "timm:resnet50", "hf:a/b"])
@pytest.mark.parametrize("field", ["model", "method"])
def test_names_in_settings(name, field, here):
    write_synthetic("birds", train=8, test=2, classes=2, size=32)
    (here / "a.toml").write_text(f'data = "birds"\n{field} = "{name}"\n')
    config = TrainingConfig.from_mapping(read_config("a.toml"))
    with pytest.raises(ConfigError, match=r"is no network|is unknown"):
        train(config, here / "run", start_engine(device="cpu"))


PATHS_OUT = ["../a.png", "/etc/passwd", "x/../../a.png", ".."]
PATHS_OUT += ["C:\\a.png", "C:a.png", "\\\\host\\a.png", "..\\a.png", "\\a.png"]


@pytest.mark.parametrize("path", PATHS_OUT)
def test_ids_in_metadata(path, here):
    datasets.metadata(here / "meta", {path: (0, (64, 48), ["0,0,9,9"])})
    with pytest.raises(DataError, match=r"image_ids.txt:1: path must lie below its folder, got"):
        read_metadata(here / "meta", images=here)


@pytest.mark.parametrize("path", PATHS_OUT)
@pytest.mark.parametrize("column", ["mask", "ignore"])
def test_masks_in_metadata(path, column, here):
    line = f"{path}," if column == "mask" else f"a.png,{path}"
    datasets.metadata(here / "meta", {"a.png": (0, (64, 48), [line])})
    with pytest.raises(DataError, match=rf"localization.txt:1: {column} must lie below its folder"):
        read_metadata(here / "meta", images=here)


@pytest.mark.parametrize("path", PATHS_OUT)
def test_ids_in_cub(path, here):
    root = datasets.cub(here / "cub")
    lines = (root / "images.txt").read_text().splitlines()
    (root / "images.txt").write_text("\n".join([f"1 {path}", *lines[1:]]))
    with pytest.raises(DataError, match=r"images.txt:1: path must lie below its folder"):
        read_cub(root, "train")


@pytest.mark.parametrize("number", ["\uff11\uff12", "1_2", "\u0663", "0x3", "1e2", " ", "+-1"])
def test_numbers_that_only_python_takes(number, here):
    datasets.metadata(here / "meta", {"a.png": (number, (64, 48), ["0,0,9,9"])})
    with pytest.raises(DataError, match=r"class_labels\.txt:1"):
        read_metadata(here / "meta", images=here)
    datasets.metadata(here / "boxes", {"a.png": (0, (64, 48), [f"0,0,{number.replace('1e2', '1_0')},9"])})
    with pytest.raises(DataError, match=r"localization\.txt:1"):
        read_metadata(here / "boxes", images=here)


ENTITIES = '<!DOCTYPE a [<!ENTITY a "xxxxxxxxxx">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<annotation>",
        b'<?xml version="1.0" encoding="no-such"?><annotation/>',
        b'<?xml version="1.0" encoding="utf-7"?><annotation/>',
        b'<?xml version="1.0" encoding="utf-16"?><annotation/>',
        f"{ENTITIES}]><annotation>&j;</annotation>".encode(),
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
        b"<annotation>" + b" " * (1 << 21) + b"</annotation>",
        b"<annotation><object><name>n\xd9\xa3\xd9\xa3\xd9\xa3\xd9\xa3\xd9\xa3\xd9\xa3\xd9\xa3\xd9\xa3</name></object></annotation>",
        b"<annotation>\xff</annotation>",
        b"<a>" * 100_000,
    ],
)
def test_xml(text, here):
    datasets.picture(here / "val" / "a.png")
    (here / "boxes").mkdir()
    (here / "boxes" / "a.xml").write_bytes(text)
    with pytest.raises(DataError, match=r"a\.xml"):
        read_imagenet(here, "val", boxes=here / "boxes")


@pytest.mark.parametrize("content", [b"", b"# only\n", b"\xff\xfe", b"a\n\nb\n"])
def test_class_names(content, here):
    (here / "classes.txt").write_bytes(content)
    with pytest.raises(ValueError, match=r"classes.txt|codec"):
        read_classes(here / "classes.txt")


def png(path, width, height):
    """A grey picture of zeros, a thousandth of its size on the disk."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(width + 1)) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


class TestPictures:
    def test_one_of_200_million_pixels_is_refused_by_its_header(self, here):
        png(here / "a.png", 20_000, 10_000)
        assert (here / "a.png").stat().st_size < 1_000_000
        assert picture_size("a.png") == (10_000, 20_000)
        with pytest.raises(PictureError, match=r"a.png: has 20000x10000 pixels .*, more than the 134217728 allowed"):
            read_picture("a.png")
        record = fastcam.data.Record("a", here / "a.png", 0, masks=(here / "a.png",))
        with pytest.raises(PictureError, match="more than the 134217728 allowed"):
            read_mask(record)

    def test_a_limit_can_be_raised_beyond_pillows(self, here):
        png(here / "a.png", 19_000, 9_500)
        code = "from fastcam.images import *; print(read_picture('a.png', most_pixels=1 << 28).shape)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "(9500, 19000, 3)\n"

    def test_an_overlay_takes_little_more_than_the_picture(self):
        code = (
            "import numpy as np, resource\n"
            "from fastcam.draw import overlay\n"
            "image = np.zeros((6000, 6000, 3), np.uint8)\n"
            "overlay(image[:64, :64], np.eye(14))\n"
            "image[:] = 1\n"
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "overlay(image, np.eye(14), [[0, 0, 9, 9]], ['cat'])\n"
            "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 36e6)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        # Bytes a pixel: the result has 3. They were 37.
        assert float(done.stdout) < 6


def test_names_that_end_lines_are_read_back_whole(tmp_path):
    names = ["a\rb", "a\nb", "a\r\nb", 'a"b', "a,b", "a\u2028b", "\x0b", "plain"]
    write_table(tmp_path / "a.csv", ["name", "n"], [[name, i] for i, name in enumerate(names)])
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        assert [row["name"] for row in csv.DictReader(file)] == names
