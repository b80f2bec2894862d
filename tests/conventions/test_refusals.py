"""Exports of what is not there are errors that name it, and nothing half is written."""

import builtins
import dataclasses
import os

import numpy as np
import pytest
import torch
from known_boxes import FILES, NAMES, found_in, four

import fastcam


@pytest.mark.parametrize("export", ["to_coco", "to_yolo", "to_voc", "to_fiftyone"])
def test_labels(tmp_path, export):
    bare = dataclasses.replace(four(), labels=None)
    options = {"to_yolo": {"folder": tmp_path / "out", "files": FILES}}
    options["to_voc"] = options["to_yolo"] | {"names": NAMES}
    with pytest.raises(ValueError, match=f"{export} needs labels"):
        getattr(bare, export)(**options.get(export, {}))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("export", ["to_voc", "to_fiftyone"])
def test_names(tmp_path, export):
    options = {"folder": tmp_path / "out", "files": FILES} if export == "to_voc" else {}
    call = getattr(four(), export)
    with pytest.raises(ValueError, match=f"{export} needs the classes' names, got none: names="):
        call(**options)
    with pytest.raises(ValueError, match="names must have a name for each label, got none for label 2"):
        call(**options, names={0: "cat", 1: "dog"})
    for names in ("cat", [1, 2, 3], {0: None}):
        with pytest.raises(TypeError, match="names must be the classes' names"):
            call(**options, names=names)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("export", ["to_voc", "to_yolo"])
class TestFiles:
    def call(self, tmp_path, export, files):
        return getattr(four(), export)(tmp_path / "out", files=files, names=NAMES)

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            (None, "needs the pictures' file names, got none: files="),
            (["a.png"], "files must have the length of the 4 images, got 1"),
            (["a.png", "b.png", "../c.png", "d.png"], r"files must lie below the pictures' folder, got '\.\./c\.png'"),
            (["a.png", "b.png", "/c.png", "d.png"], "files must lie below the pictures' folder, got '/c.png'"),
            (["a.png", "b.png", "", "d.png"], "files must lie below the pictures' folder, got '.'"),
            (["a.png", "a.jpg", "c.png", "d.png"], "a.png and a.jpg would both have the file a"),
        ],
    )
    def test_that_do_not_fit(self, tmp_path, export, files, message):
        with pytest.raises(ValueError, match=message):
            self.call(tmp_path, export, files)
        assert os.listdir(tmp_path) == []

    def test_that_are_one_path(self, tmp_path, export):
        with pytest.raises(TypeError, match=r"files must be a sequence of paths, one an image, got 'a\.png'"):
            self.call(tmp_path, export, "a.png")

    def test_are_all_written_or_none(self, tmp_path, export, monkeypatch):
        folder = tmp_path / "out"
        before = {path: path.read_bytes() for path in self.call(tmp_path, export, FILES)}
        calls = iter([None, None, OSError(28, "No space left on device")])

        def full(_):
            error = next(calls)
            if error is not None:
                raise error

        monkeypatch.setattr(os, "fsync", full)
        changed = dataclasses.replace(four(), labels=torch.ones(4, dtype=torch.int64))
        with pytest.raises(OSError, match="No space left on device") as raised:
            getattr(changed, export)(folder, files=FILES, names=NAMES)
        assert str(folder) in raised.value.filename
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_the_list_of_classes_takes_no_pictures_place(tmp_path):
    with pytest.raises(ValueError, match=r"the list of classes and classes\.jpg would both have the file classes\.txt"):
        four()[:1].to_yolo(tmp_path / "out", files=["classes.jpg"], names=NAMES)
    assert os.listdir(tmp_path) == []
    four()[:1].to_yolo(tmp_path, files=["classes.jpg"])
    assert (tmp_path / "classes.txt").read_text().startswith("0 0.25 0.275 ")
    four()[:1].to_yolo(tmp_path, files=["a.jpg"], names={2: "rocket", 0: "cat"})
    assert (tmp_path / "classes.txt").read_text() == "cat\n\nrocket\n"


@pytest.mark.parametrize("export", ["to_yolo", "to_voc", "to_tv_tensors", "to_fiftyone", "to_sam_prompts"])
def test_sizes(tmp_path, export):
    files = {"folder": tmp_path / "out", "files": FILES}
    options = {"to_yolo": files, "to_voc": files | {"names": NAMES}, "to_fiftyone": {"names": NAMES}}
    with pytest.raises(ValueError, match=f"{export} needs the images' size"):
        getattr(dataclasses.replace(four(), size=None), export)(**options.get(export, {}))
    assert os.listdir(tmp_path) == []


def test_scores(tmp_path):
    bare = dataclasses.replace(four(), scores=None)
    assert [len(path.read_text().split()) for path in bare.to_yolo(tmp_path / "a", files=FILES)] == [5, 0, 5, 5]
    with pytest.raises(ValueError, match="to_yolo needs scores with scores=True"):
        bare.to_yolo(tmp_path / "b", files=FILES, scores=True)
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("export", "package"),
    [("to_supervision", "supervision"), ("to_tv_tensors", "torchvision"), ("to_fiftyone", "fiftyone")],
)
def test_a_library_that_is_not_installed_is_named(monkeypatch, export, package):
    load = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    options = {"names": NAMES} if export == "to_fiftyone" else {}
    with pytest.raises(ImportError, match=f"{export} needs .*: pip install {package}"):
        getattr(four(), export)(**options)


def test_no_images(tmp_path):
    none = four()[:0]
    assert none.to_coco() == none.to_torchmetrics() == none.to_sam_prompts() == []
    assert none.to_yolo(tmp_path, files=[]) == none.to_voc(tmp_path, files=[], names=NAMES) == []


def test_odd_names_are_readable_xml(tmp_path):
    from xml.etree import ElementTree

    odd = "a & <b>\x07\udce9.png"
    (path,) = found_in(np.ones((1, 4, 5), bool)).to_voc(tmp_path, files=[odd], names=["c\ud800at"])
    root = ElementTree.parse(path).getroot()
    assert (root.findtext("filename"), root.findtext("object/name")) == (r"a & <b>\x07\udce9.png", r"c\ud800at")


def test_boxes_between_pixels_have_one_at_least(tmp_path):
    from xml.etree import ElementTree

    found = dataclasses.replace(four()[:1], boxes=torch.tensor([[29.6, 4.4, 29.9, 4.45]]))
    (path,) = found.to_voc(tmp_path, files=["a.png"], names=NAMES)
    (box,) = ElementTree.parse(path).iter("bndbox")
    assert [int(value.text) for value in box] == [30, 5, 30, 5]


def test_what_ends_at_the_last_pixel_by_the_protocol_is_taken_as_it_stands(tmp_path):
    heat = torch.zeros(1, 8, 10)
    heat[0, 3:8, 2:10] = 1
    found = fastcam.boxes_from_maps(heat, protocol=fastcam.WSOLEVAL)
    assert found.boxes.tolist() == [[2, 3, 9, 7]]
    (one,) = dataclasses.replace(found, labels=torch.tensor([0])).to_coco()
    assert one["bbox"] == [2, 3, 7, 4]
    (path,) = dataclasses.replace(found, labels=torch.tensor([0])).to_yolo(tmp_path, files=["a.png"])
    assert path.read_text() == f"0 0.55 {5 / 8:.9g} 0.7 0.5\n"
