"""CUB-200-2011's own folder."""

import numpy as np
import pytest
from small_datasets import cub, picture

from fastcam.data import DataError, read_cub
from fastcam.images import PictureError
from fastcam.inputs import CROP, RESIZE


def edit(root, name, old, new):
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new))


class TestRecords:
    def test_splits_labels_boxes_and_sizes(self, tmp_path):
        root = cub(tmp_path)
        train, test = read_cub(root, "train"), read_cub(root, "test")
        assert [record.id for record in train] == ["001.Auk/0.png", "002.Wren/1.png", "002.Wren/3.png", "001.Auk/4.png"]
        assert [record.id for record in test] == ["001.Auk/2.png", "002.Wren/5.png"]
        assert [record.label for record in train] == [0, 1, 1, 0]
        assert test.classes == ("001.Auk", "002.Wren")
        assert test[0].boxes.tolist() == [[6.0, 5.0, 28.0, 35.0]]
        assert test[0].size == (48, 64)
        assert test[0].path == root / "images" / "001.Auk" / "2.png"
        assert test[0].read().shape == (48, 64, 3)
        assert (test.has_boxes, test.has_masks, test.ends) == (True, False, "exclusive")

    def test_ids_need_not_be_consecutive_nor_sorted(self, tmp_path):
        root = cub(tmp_path)
        for name in ("images.txt", "image_class_labels.txt", "train_test_split.txt", "bounding_boxes.txt"):
            edit(root, name, "3 ", "700 ")
            lines = (root / name).read_text().splitlines()
            (root / name).write_text("\n".join(lines if name == "images.txt" else lines[::-1]))
        assert [record.boxes[0, 0] for record in read_cub(root)] == [6.0, 9.0]

    def test_a_endss_at_the_last_pixel_as_the_evaluators_have_it(self, tmp_path):
        root = cub(tmp_path, 3, boxes=["1 1 5 5", "1 1 5 5", "10.2 0 54.6 48.9"])
        assert read_cub(root)[0].boxes.tolist() == [[10.2, 0.0, 63.0, 47.0]]

    def test_the_evaluated_boxes_are_those_of_the_references(self, tmp_path):
        root = cub(tmp_path, 3, size=(335, 500), boxes=["1 1 5 5", "1 1 5 5", "60.0 27.0 325.0 304.0"])
        split = read_cub(root)
        (record,) = split
        assert RESIZE.boxes(record.boxes, record.size, ends=split.ends).tolist() == [[26, 18, 172, 221]]
        assert CROP.boxes(record.boxes, record.size, ends=split.ends).tolist() == [[14, 4, 180, 223]]

    def test_slices_are_splits(self, tmp_path):
        split = read_cub(cub(tmp_path), "train")
        assert [record.id for record in split[1:3]] == [record.id for record in split][1:3]
        assert split[1:3].classes == split.classes


class TestErrors:
    @pytest.mark.parametrize(
        ("name", "old", "new", "message"),
        [
            ("images.txt", "2 002.Wren/1.png", "2", "images.txt:2: expected id path, got '2'"),
            ("images.txt", "2 002.Wren/1.png", "1 002.Wren/1.png", "images.txt:2: id '1' stands in line 1 already"),
            ("images.txt", "4 002.Wren/3.png", "4 002.Wren/1.png", "txt:4: path '002.Wren/1.png' stands in line 2"),
            ("classes.txt", "2 002.Wren", "3 002.Wren", "image_class_labels.txt:2: class '2' is not in classes.txt"),
            ("train_test_split.txt", "2 1", "2 yes", "train_test_split.txt:2: is_train must be 0 or 1, got 'yes'"),
            ("image_class_labels.txt", "5 1\n", "", "image_class_labels.txt: no line for image 5"),
            ("bounding_boxes.txt", "3 6.0 5.0", "3 6.0", "bounding_boxes.txt:3: expected id x y width height"),
            ("bounding_boxes.txt", "3 6.0 5.0", "3 6.0 high", "bounding_boxes.txt:3: y must be a number, got 'high'"),
            ("bounding_boxes.txt", "3 6.0 5.0", "3 6.0 nan", "bounding_boxes.txt:3: y must be finite, got 'nan'"),
            ("bounding_boxes.txt", "3 6.0 5.0", "3 -6.0 5.0", "bounding_boxes.txt:3: box .* lies outside its image"),
            ("bounding_boxes.txt", "3 6.0 5.0", "3 50 5.0", "3: box .* lies outside its image, which is 64x48"),
            ("bounding_boxes.txt", "5.0 22.0", "5.0 -22.0", "bounding_boxes.txt:3: box .* must have x0 <= x1"),
        ],
    )  # fmt: skip
    def test_a_bad_line_is_named(self, tmp_path, name, old, new, message):
        root = cub(tmp_path)
        edit(root, name, old, new)
        with pytest.raises(DataError, match=message) as caught:
            read_cub(root)
        assert str(caught.value).startswith(str(root))

    @pytest.mark.parametrize("name", ["images.txt", "classes.txt", "bounding_boxes.txt"])
    def test_a_missing_file_is_named(self, tmp_path, name):
        root = cub(tmp_path)
        (root / name).unlink()
        with pytest.raises(DataError, match=f"{name}: No such file"):
            read_cub(root)

    def test_without_its_boxes(self, tmp_path):
        root = cub(tmp_path)
        with_boxes = read_cub(root)
        (root / "bounding_boxes.txt").unlink()
        without = read_cub(root, boxes=False)
        assert [record.id for record in without] == [record.id for record in with_boxes]
        assert not without.has_boxes
        assert with_boxes.has_boxes
        assert without.title == tmp_path.name

    def test_bytes_that_are_no_text(self, tmp_path):
        root = cub(tmp_path)
        (root / "classes.txt").write_bytes(b"1 \xff\n")
        with pytest.raises(DataError, match=r"classes.txt: not UTF-8 text"):
            read_cub(root)

    def test_another_split(self, tmp_path):
        with pytest.raises(ValueError, match="must be 'train' or 'test', got 'val'"):
            read_cub(cub(tmp_path), "val")

    def test_broken_pictures_raise_or_are_counted(self, tmp_path):
        root = cub(tmp_path, 9)
        (root / "images" / "001.Auk" / "2.png").unlink()
        (root / "images" / "002.Wren" / "5.png").write_text("no picture")
        with pytest.raises(PictureError, match=r"2\.png: no such file"):
            read_cub(root)
        bad = []
        split = read_cub(root, on_bad=bad.append)
        assert [record.id for record in split] == ["001.Auk/8.png"]
        assert ["2.png: no such file" in str(bad[0]), "5.png: not a picture" in str(bad[1])] == [True, True]

    def test_a_picture_that_has_changed_its_size_since(self, tmp_path):
        split = read_cub(cub(tmp_path))
        picture(split[0].path, (50, 64))
        with pytest.raises(PictureError, match=r"2\.png: the picture is 64x50 .*, its data set says 64x48"):
            split[0].read()


def test_the_real_birds(birds):
    train, test = read_cub(birds, "train"), read_cub(birds, "test")
    assert (len(train), len(test), len(test.classes)) == (300, 243, 10)
    assert train.has_boxes
    assert test.has_boxes
    assert sorted({record.label for record in test}) == list(range(10))
    assert all((record.boxes[:, 2:] < np.array(record.size[::-1])).all() for record in [*train, *test])
    assert test[0].boxes[0].tolist() == pytest.approx([45.84, 20.63, 45.84 + 248.30, 20.63 + 232.31])
