"""``fastcam localize --format``: the files of each format, read back; what is refused, and what is left alone."""

import builtins
import os
from xml.etree import ElementTree

import numpy as np
import pytest
from command import box, load, paint, rows, run

COLOURS = ("--classes", "colours.txt")


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def pictures(here):
    paint(here / "in" / "a.png", "green")
    paint(here / "in" / "below" / "b.png", "blue", size=(300, 100), box=(10, 150, 60, 290))
    return here


def run_all(*arguments):
    formats = [part for name in ("csv", "coco", "yolo", "voc") for part in ("--format", name)]
    return run("in", *COLOURS, *formats, *arguments)


def test_the_usual_ones_are_csv_and_coco(pictures):
    run("in", *COLOURS, "--no-overlay")
    assert files_in(pictures / "out") == ["boxes.csv", "boxes.json", "dataset.json"]


def test_one_alone_and_twice_the_same(pictures):
    run("in", *COLOURS, "--no-overlay", "--format", "coco", "--format", "coco")
    assert files_in(pictures / "out") == ["boxes.json", "dataset.json"]


@pytest.mark.parametrize("options", [(), ("--top-k", 2), ("--set", "keep=all")])
def test_all_say_the_same_boxes(pictures, options):
    run_all("--at", "original", *options)
    found = [row for row in rows(pictures) if row["x0"]]
    assert len(found) >= 2
    assert len(load(pictures, "boxes.json")) == len(found)
    for name, (height, width) in (("a", (96, 128)), ("below/b", (300, 100))):
        own = [row for row in found if row["file"].endswith(f"{name}.png")]
        root = ElementTree.parse(pictures / "out" / "Annotations" / f"{name}.xml").getroot()
        assert [root.findtext(f"size/{side}") for side in ("height", "width")] == [str(height), str(width)]
        assert root.findtext("filename") == os.path.basename(f"{name}.png")
        assert [one.findtext("name") for one in root.iter("object")] == [row["class"] for row in own]
        corners = [[int(value.text) for value in one] for one in root.iter("bndbox")]
        assert corners == [[x0 + 1, y0 + 1, x1, y1] for x0, y0, x1, y1 in map(box, own)]
        table = np.loadtxt(pictures / "out" / "labels" / f"{name}.txt", ndmin=2).reshape(-1, 5)
        assert table[:, 0].tolist() == [int(row["class_id"]) for row in own]
        centre, extent = table[:, 1:3] * [width, height], table[:, 3:] * [width, height]
        edges = np.concatenate([centre - extent / 2, centre + extent / 2], axis=1)
        np.testing.assert_allclose(edges, [box(row) for row in own], atol=1e-5)
    assert (pictures / "out" / "labels" / "classes.txt").read_text().split() == ["red", "green", "blue"]


def test_where_nothing_was_found_a_file_says_so(here):
    paint(here / "a.png", size=(64, 64), box=(0, 0, 0, 0))
    run("a.png", "--format", "yolo", "--format", "voc", *COLOURS)
    assert (here / "out" / "labels" / "a.txt").read_bytes() == b""
    assert ElementTree.parse(here / "out" / "Annotations" / "a.xml").findall("object") == []


def test_parquet_has_the_rows_of_the_csv_with_their_types(pictures):
    parquet = pytest.importorskip("pyarrow.parquet")
    paint(pictures / "in" / "c.png", size=(64, 64), box=(0, 0, 0, 0))
    run("in", *COLOURS, "--format", "csv", "--format", "parquet")
    table = parquet.read_table(pictures / "out" / "boxes.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {"file": "string", "class_id": "int64", "class": "string"} | dict.fromkeys(
        ("score", "x0", "y0", "x1", "y1", "ms"), "double"
    )
    read = table.to_pylist()
    assert len(read) == len(rows(pictures)) == 3
    for mine, row in zip(read, rows(pictures), strict=True):
        assert (mine["file"], str(mine["class_id"]), mine["class"]) == (row["file"], row["class_id"], row["class"])
        for name in ("score", "x0", "y0", "x1", "y1", "ms"):
            assert mine[name] is None if row[name] == "" else mine[name] == pytest.approx(float(row[name]), abs=0.006)


def test_one_that_does_not_exist_is_refused_with_the_list(pictures):
    result = run("in", "--format", "labelme", code=2)
    assert "'labelme' is not one of 'csv', 'coco', 'parquet', 'yolo', 'voc'" in result.stderr
    assert not (pictures / "out").exists()


def test_a_package_that_is_missing_is_named_before_anything_is_run(pictures, monkeypatch):
    load_module = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == "pyarrow":
            raise ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow")
        return load_module(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    result = run("in", "--format", "parquet", code=2)
    assert "the format parquet needs pyarrow: pip install pyarrow" in result.stderr
    assert not (pictures / "out").exists()


@pytest.mark.parametrize("name", ["yolo", "voc"])
def test_two_pictures_with_one_label_file_are_named_before_anything_is_run(pictures, name):
    paint(pictures / "in" / "a.jpg")
    result = run("in", "--format", name, code=2)
    assert "a.jpg and a.png would both have the file a." in result.stderr
    assert not (pictures / "out").exists()


@pytest.mark.parametrize(("name", "folder"), [("yolo", "labels"), ("voc", "Annotations")])
class TestFoldersOfLabels:
    def test_that_are_no_runs_are_left_alone(self, pictures, name, folder):
        (pictures / "out" / folder).mkdir(parents=True)
        (pictures / "out" / folder / "a.txt").write_text("by hand")
        result = run("in", "--format", name, code=2)
        assert "not of an earlier run, and labels would replace what is in it" in " ".join(result.stderr.split())
        assert files_in(pictures / "out") == [f"{folder}/a.txt"]

    def test_of_an_earlier_run_are_replaced(self, pictures, name, folder):
        run("in", "--format", name, "--no-overlay")
        before = files_in(pictures / "out" / folder)
        paint(pictures / "in" / "a.png", "red", box=(0, 0, 64, 64))
        run("in", "--format", name, "--no-overlay")
        assert files_in(pictures / "out" / folder) == before

    def test_a_file_in_their_place(self, pictures, name, folder):
        (pictures / "out").mkdir()
        (pictures / "out" / folder).write_text("")
        assert "a file, where the folder of labels is to be" in run("in", "--format", name, code=2).stderr

    def test_of_a_run_that_is_stopped_lie_beside_them(self, here, name, folder):
        for i in range(4):
            paint(here / "in" / f"{i}.png", "green")
        arguments = ["in", "--format", name, "--no-overlay", "--batch-size", 1]
        run(*arguments)
        whole = {path: (here / "out" / path).read_bytes() for path in files_in(here / "out")}
        run(*arguments, model="toy_network:Broken", code=1)
        kept = files_in(here / "out")
        assert all((here / "out" / path).read_bytes() == content for path, content in whole.items())
        assert {path.split("/")[0] for path in kept} == {folder, f"{folder}.partial"}
        run(*arguments)
        assert files_in(here / "out") == sorted(whole)
