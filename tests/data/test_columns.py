"""Metadata read as columns: the same records as line by line, and everything unusual left to that."""

import numpy as np
import pytest
from small_datasets import write

from fastcam.data import DataError, metadata, read_metadata
from fastcam.data.columns import read_columns
from fastcam.evaluation import ground_truth
from fastcam.inputs import CROP, RESIZE

COUNT = 40


def files():
    """Lines of 40 pictures of four classes, with one to three boxes."""
    random = np.random.default_rng(0)
    ids = [f"c{i % 4}/a,b {i}.jpg" for i in range(COUNT)]
    sizes = random.integers(50, 500, (COUNT, 2))
    boxes = []
    for name, (width, height) in zip(ids, sizes, strict=True):
        for _ in range(random.integers(1, 4)):
            x, y = np.sort(random.uniform(0, width, 2)), np.sort(random.uniform(0, height, 2))
            boxes.append(f"{name},{x[0]:.2f},{y[0]:g},{x[1]:.2f},{y[1]:.3f}")
    return {
        "image_ids__txt": ids,
        "class_labels__txt": [f"{name},{i % 4}" for i, name in enumerate(ids)],
        "image_sizes__txt": [f"{name},{width},{height}" for name, (width, height) in zip(ids, sizes, strict=True)],
        "localization__txt": boxes,
    }


def by_lines(root, monkeypatch, **options):
    with monkeypatch.context() as patch:
        patch.setattr(metadata, "read_columns", lambda *_, **__: None)
        return read_metadata(root, **options)


def same(one, other):
    assert (one.dataset, one.name, one.classes, one.ends) == (other.dataset, other.name, other.classes, other.ends)
    assert len(one) == len(other)
    for ours, theirs in zip(one, other, strict=True):
        assert (ours.id, ours.path, ours.label, ours.size) == (theirs.id, theirs.path, theirs.label, theirs.size)
        np.testing.assert_array_equal(ours.boxes, theirs.boxes)


@pytest.mark.parametrize("order", ["same", "mixed", "more"])
def test_the_records_of_the_lines(order, tmp_path, monkeypatch):
    lines = files()
    if order == "mixed":
        for name in list(lines)[1:]:
            np.random.default_rng(1).shuffle(lines[name])
    if order == "more":
        # A part of the ids, as the proxy's are.
        lines["image_ids__txt"] = lines["image_ids__txt"][3::2]
    write(tmp_path, **lines)
    assert read_columns(tmp_path, "image_ids.txt", tmp_path, truth=True) is not None
    same(read_metadata(tmp_path, images="in"), by_lines(tmp_path, monkeypatch, images="in"))
    same(read_metadata(tmp_path, truth=False), by_lines(tmp_path, monkeypatch, truth=False))


def test_a_part_and_an_index(tmp_path):
    split = read_metadata(write(tmp_path, **files()))
    assert [one.id for one in split[-2:]] == [split[COUNT - 2].id, split[-1].id]
    assert split.has_boxes
    with pytest.raises(IndexError):
        split[COUNT]


@pytest.mark.parametrize(
    ("file", "line", "why"),
    [
        ("image_ids__txt", "../up.jpg", r"image_ids.txt:41: path must lie below its folder"),
        ("image_ids__txt", "c1\\x.jpg", None),
        ("image_ids__txt", "/etc/passwd", r"image_ids.txt:41: path must lie below its folder"),
        ("image_ids__txt", "c0/a,b 0.jpg", r"image_ids.txt:41: path 'c0/a,b 0.jpg' stands in line 1 already"),
        ("image_ids__txt", "c0/new.jpg", r"image_ids.txt:41: 'c0/new.jpg' has no line in class_labels.txt"),
        ("class_labels__txt", "c0/a,b 0.jpg,1", r"class_labels.txt:41: path 'c0/a,b 0.jpg' stands in line 1"),
        ("class_labels__txt", "alone", r"class_labels.txt:41: expected path,label"),
        ("localization__txt", "c0/a,b 0.jpg,1,2,nan,4", r"x1 must be finite, got 'nan'"),
        ("localization__txt", "c0/a,b 0.jpg,1,2,1e999,4", r"x1 must be finite"),
        ("localization__txt", "c0/a,b 0.jpg,1,2,1_0,4", r"x1 must be a number, got '1_0'"),
        ("localization__txt", "c0/a,b 0.jpg,1,2,999,4", r"lies outside its image"),
        ("localization__txt", "c0/a,b 0.jpg,9,2,3,4", r"must have x0 <= x1"),
        ("localization__txt", "c0/a,b 0.jpg,-1,2,3,4", r"coordinates must be at least 0"),
    ],
)
def test_what_is_unusual_is_said_by_its_line(file, line, why, tmp_path):
    lines = files()
    lines[file].append(line)
    write(tmp_path, **lines)
    assert read_columns(tmp_path, "image_ids.txt", tmp_path, truth=True) is None
    if why is not None:
        with pytest.raises(DataError, match=why):
            read_metadata(tmp_path)


@pytest.mark.parametrize("inputs", [RESIZE, CROP], ids=["resize", "crop"])
@pytest.mark.parametrize("dataset", ["CUB", "ILSVRC"])
def test_boxes_moved_at_once_are_those_moved_alone(inputs, dataset, tmp_path):
    split = read_metadata(write(tmp_path, **files()), dataset=dataset)
    skipped = []
    truth = ground_truth(split, inputs, on_skipped=skipped.append)
    for number, record in enumerate(split):
        alone = inputs.boxes(record.boxes, record.size, ends=split.ends)
        alone = alone[(alone[:, 0] <= alone[:, 2]) & (alone[:, 1] <= alone[:, 3])]
        if len(alone):
            np.testing.assert_array_equal(truth[number], alone)
        else:
            assert truth[number] is None
    assert len(skipped) == sum(boxes is None for boxes in truth)
