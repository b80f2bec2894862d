"""Tiny-ImageNet's own folder."""

from pathlib import Path

import numpy as np
import pytest
from small_datasets import tiny_imagenet

from fastcam.data import DataError, read_dataset, read_tiny_imagenet
from fastcam.data.layout import judged_part
from fastcam.images import PictureError
from fastcam.training.data import read_part

REAL = Path(__file__).parents[3] / "shared" / "data" / "tiny-imagenet-200-part.tar"


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


class TestRecords:
    def test_classes_are_numbered_as_their_file_lists_them(self, tmp_path):
        train = read_tiny_imagenet(tiny_imagenet(tmp_path), "train")
        assert train.classes == ("n02002724", "n01443537")
        assert [(record.id, record.label) for record in train] == [
            ("train/n02002724/images/n02002724_0.JPEG", 0),
            ("train/n02002724/images/n02002724_1.JPEG", 0),
            ("train/n01443537/images/n01443537_0.JPEG", 1),
            ("train/n01443537/images/n01443537_1.JPEG", 1),
        ]
        assert train[2].boxes.tolist() == [[0, 10, 63, 58]]
        assert train[2].read().shape == (64, 64, 3)
        assert (train.name, train.ends, train.has_boxes) == ("train", "inclusive", True)

    def test_validation(self, tmp_path):
        val = read_tiny_imagenet(tiny_imagenet(tmp_path), "val")
        assert [(record.id, record.label, record.boxes.tolist()) for record in val] == [
            ("val/images/val_0.JPEG", 1, [[0, 32, 44, 63]]),
            ("val/images/val_1.JPEG", 0, [[52, 55, 57, 59]]),
        ]
        assert val[0].size == (64, 64)

    def test_without_boxes(self, tmp_path):
        train = read_tiny_imagenet(tiny_imagenet(tmp_path), "train", boxes=False)
        assert len(train) == 4
        assert not train.has_boxes

    def test_it_is_recognized_and_its_judged_part_is_val(self, tmp_path):
        root = tiny_imagenet(tmp_path)
        (root / "test" / "images").mkdir(parents=True)
        assert judged_part(root) == "val"
        assert read_dataset(root, "val").dataset == "Tiny-ImageNet"
        assert [record.boxes.shape for record in read_part(str(root), "test", out=tmp_path)] == [(1, 4)] * 2
        assert not read_part(str(root), "train", out=tmp_path, truth=False).has_boxes


class TestErrors:
    @pytest.mark.parametrize(
        ("name", "old", "new", "message"),
        [
            ("wnids.txt", "n01443537", "n02002724", r"wnids\.txt:2: wnid 'n02002724' stands in line 1 already"),
            ("wnids.txt", "n01443537", "n00000001", r"n00000001_boxes\.txt: No such file"),
            ("train/n01443537/n01443537_boxes.txt", "0\t10", "10", r"_boxes\.txt:1: expected name x0 y0 x1 y1"),
            ("train/n01443537/n01443537_boxes.txt", "\t10\t", "\tten\t", r":1: y0 must be a number, got 'ten'"),
            ("train/n01443537/n01443537_boxes.txt", "\t58", "\t66", r":1: box .* lies outside its image, .* 64x64"),
            ("train/n01443537/n01443537_boxes.txt", "_1.JPEG", "_0.JPEG", r":2: name .* stands in line 1 already"),
            ("train/n01443537/n01443537_boxes.txt", "n01443537_0.JPEG", "../x.JPEG", r"leads out of it by '\.\.'"),
        ],
    )
    def test_training(self, name, old, new, message, tmp_path):
        root = tiny_imagenet(tmp_path)
        edit(root / name, old, new)
        with pytest.raises(DataError, match=message):
            read_tiny_imagenet(root, "train")

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("n01443537", "n01443538", r"val_annotations\.txt:1: class 'n01443538' is not in wnids\.txt"),
            ("0\t32\t44", "0\t32", r":1: expected name wnid x0 y0 x1 y1"),
            ("52\t55\t57", "58\t55\t57", r":2: box .* must have x0 <= x1"),
        ],
    )
    def test_validation(self, old, new, message, tmp_path):
        root = tiny_imagenet(tmp_path)
        edit(root / "val" / "val_annotations.txt", old, new)
        with pytest.raises(DataError, match=message):
            read_tiny_imagenet(root, "val")

    def test_a_class_without_pictures(self, tmp_path):
        root = tiny_imagenet(tmp_path)
        (root / "train" / "n01443537" / "n01443537_boxes.txt").write_text("")
        with pytest.raises(DataError, match="class n01443537 has no training pictures"):
            read_tiny_imagenet(root, "train")

    def test_a_picture_that_is_missing(self, tmp_path):
        root = tiny_imagenet(tmp_path)
        (root / "val" / "images" / "val_1.JPEG").unlink()
        with pytest.raises(PictureError, match=r"val_1\.JPEG"):
            read_tiny_imagenet(root, "val")
        bad = []
        assert len(read_tiny_imagenet(root, "val", on_bad=bad.append)) == 1
        assert len(bad) == 1

    def test_another_split(self, tmp_path):
        with pytest.raises(ValueError, match="must be 'train' or 'val', got 'test'"):
            read_tiny_imagenet(tiny_imagenet(tmp_path), "test")


@pytest.mark.long
@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is not there")
def test_the_real_one(tmp_path):
    import tarfile

    with tarfile.open(REAL) as archive:
        archive.extractall(tmp_path, filter="data")
    train, val = (read_tiny_imagenet(tmp_path / "tiny-imagenet-200", part) for part in ("train", "val"))
    assert np.bincount([record.label for record in train]).tolist() == [200] * 200
    assert np.bincount([record.label for record in val]).tolist() == [50] * 200
    assert val.has_boxes
    assert train.has_boxes
