"""Files are written whole or not at all, and say what they should."""

import csv
import errno
import json
import os
import stat

import numpy as np
import pytest

from fastcam.files import write_whole
from fastcam.result_files import (
    CSV_COLUMNS,
    Detection,
    Picture,
    coco_dataset,
    coco_results,
    replacing,
    write_csv,
    write_json,
    write_picture,
)

CAT = Picture(1, "photos/cat, sitting.png", 451, 300)
DOG = Picture(2, "photos/犬.png", 640, 480)
FOUND = [
    Detection(CAT, 285, "Egyptian cat", 0.77, (46.317, 0.0, 398.654, 300.0), 9.456),
    Detection(DOG, 207, 'golden "retriever"', 0.5, (1.0, 2.0, 3.0, 4.0), 10.0),
]


def _write_half_and_raise(file, error):
    file.write(b"half of the new")
    raise error


class TestReplacing:
    def test_the_old_file_stays_until_the_new_one_is_whole(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_text("old")
        with replacing(path) as file:
            file.write(b"new")
            file.flush()
            assert path.read_text() == "old"
        assert path.read_text() == "new"
        assert os.listdir(tmp_path) == ["a.txt"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_a_failure_leaves_no_trace(self, tmp_path, error):
        path = tmp_path / "a.txt"
        path.write_text("old")
        with pytest.raises(error), replacing(path) as file:
            _write_half_and_raise(file, error)
        assert path.read_text() == "old"
        assert os.listdir(tmp_path) == ["a.txt"]

    def test_no_old_file_and_a_failure_leave_nothing(self, tmp_path):
        with pytest.raises(ValueError, match="stop"), replacing(tmp_path / "a.txt"):
            raise ValueError("stop")
        assert os.listdir(tmp_path) == []

    def test_an_error_names_the_file_that_was_to_be_written(self, tmp_path, monkeypatch):
        def full(_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"a\.txt") as raised, replacing(tmp_path / "a.txt"):
            pass
        assert raised.value.errno == errno.ENOSPC
        assert raised.value.filename == str(tmp_path / "a.txt")

    def test_files_that_belong_together_are_replaced_when_all_are_written(self, tmp_path, monkeypatch):
        paths = [tmp_path / name for name in "abc"]
        write_whole(dict.fromkeys(paths, b"old"))
        with monkeypatch.context() as patch:
            # The third hidden file has the second's name.
            names = iter("011")
            patch.setattr("secrets.token_hex", lambda _: next(names))
            with pytest.raises(FileExistsError, match=r"/c'"):
                write_whole(dict.fromkeys(paths, b"new"))
        assert [path.read_bytes() for path in paths] == [b"old"] * 3
        write_whole(dict.fromkeys(paths, b"new"))
        assert [path.read_bytes() for path in paths] == [b"new"] * 3
        assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]

    def test_a_failing_rename_leaves_no_trace(self, tmp_path):
        (tmp_path / "folder").mkdir()
        with pytest.raises(OSError), replacing(tmp_path / "folder") as file:  # noqa: PT011 (which one depends on the system)
            file.write(b"x")
        assert os.listdir(tmp_path) == ["folder"]

    @pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
    def test_permissions_follow_the_umask(self, tmp_path):
        before = os.umask(0o027)
        try:
            with replacing(tmp_path / "a.txt") as file:
                file.write(b"x")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640

    def test_the_longest_name(self, tmp_path):
        path = tmp_path / ("a" * 255)
        with replacing(path) as file:
            file.write(b"x")
        assert path.read_bytes() == b"x"

    def test_missing_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError), replacing(tmp_path / "none" / "a.txt"):
            pass


class TestCsv:
    def test_columns_and_values(self, tmp_path):
        write_csv(tmp_path / "boxes.csv", FOUND)
        with open(tmp_path / "boxes.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        assert rows[0] == list(CSV_COLUMNS)
        assert rows[1] == [CAT.file, "285", "Egyptian cat", "0.770000", "46.32", "0.00", "398.65", "300.00", "9.46"]
        assert rows[2][:3] == [DOG.file, "207", 'golden "retriever"']

    def test_a_picture_in_which_nothing_was_found_has_its_line_without_a_box(self, tmp_path):
        write_csv(tmp_path / "boxes.csv", [Detection(CAT, 285, "cat", 0.9, (0.0, 0.0, 0.0, 0.0), 1.0), FOUND[1]])
        with open(tmp_path / "boxes.csv", newline="", encoding="utf-8") as file:
            first, second = csv.DictReader(file)
        assert (first["file"], first["class_id"], first["score"]) == (CAT.file, "285", "0.900000")
        assert [first[name] for name in ("x0", "y0", "x1", "y1")] == [""] * 4
        assert second["x1"] == "3.00"

    def test_no_boxes_give_the_header(self, tmp_path):
        write_csv(tmp_path / "boxes.csv", [])
        assert (tmp_path / "boxes.csv").read_text() == "file,class_id,class,score,x0,y0,x1,y1,ms\n"

    def test_a_file_name_that_is_not_utf_8_is_escaped(self, tmp_path):
        odd = Picture(1, os.fsdecode(b"caf\xe9.png"), 4, 3)
        write_csv(tmp_path / "boxes.csv", [Detection(odd, 0, "x", 0.5, (0, 0, 1, 1), 1.0)])
        assert "caf\\udce9.png" in (tmp_path / "boxes.csv").read_text(encoding="utf-8")


class TestCoco:
    def test_results(self):
        first, second = coco_results(FOUND)
        assert first == {"image_id": 1, "category_id": 285, "bbox": [46.32, 0.0, 352.34, 300.0], "score": 0.77}
        assert second["bbox"] == [1.0, 2.0, 2.0, 2.0]

    def test_a_score_that_is_not_a_number(self, tmp_path):
        results = coco_results([Detection(CAT, 285, "cat", float("nan"), (0, 0, 1, 1), 1.0)])
        assert results[0]["score"] is None
        write_json(tmp_path / "a.json", results)

    def test_nothing_found_is_no_result(self):
        none = Detection(CAT, 285, "cat", 0.9, (0.0, 0.0, 0.0, 0.0), 1.0)
        at_the_corner = Detection(CAT, 285, "cat", 0.9, (0.0, 0.0, 1.0, 1.0), 1.0)
        assert none.is_empty
        assert not at_the_corner.is_empty
        assert [one["bbox"] for one in coco_results([none, at_the_corner])] == [[0.0, 0.0, 1.0, 1.0]]

    def test_dataset_gives_every_id_a_meaning(self):
        dataset = coco_dataset([CAT, DOG], ["tench", "goldfish"])
        assert dataset["images"][1] == {"id": 2, "file_name": DOG.file, "width": 640, "height": 480}
        assert dataset["categories"] == [{"id": 0, "name": "tench"}, {"id": 1, "name": "goldfish"}]
        assert dataset["annotations"] == []


class TestJson:
    @pytest.mark.parametrize("content", [[], {}, [1, {"a": "犬"}], {"a": [], "b": {"c": 1.5}}])
    def test_round_trip(self, tmp_path, content):
        write_json(tmp_path / "a.json", content)
        assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == content

    def test_names_stay_readable_and_odd_ones_valid(self, tmp_path):
        names = ["犬.png", os.fsdecode(b"caf\xe9.png")]
        write_json(tmp_path / "a.json", names)
        assert "犬.png" in (tmp_path / "a.json").read_text(encoding="utf-8")
        assert json.loads((tmp_path / "a.json").read_bytes()) == names

    def test_not_a_number(self, tmp_path):
        with pytest.raises(ValueError, match="JSON"):
            write_json(tmp_path / "a.json", [float("nan")])
        assert os.listdir(tmp_path) == []


class TestPicture:
    @pytest.mark.parametrize("name", ["a.png", "猫.png", "a.JPG"])
    def test_colours_arrive(self, tmp_path, name):
        cv2 = pytest.importorskip("cv2")
        pixels = np.zeros((16, 24, 3), np.uint8)
        pixels[..., 0] = 250
        write_picture(tmp_path / name, pixels)
        read = cv2.imdecode(np.fromfile(tmp_path / name, np.uint8), cv2.IMREAD_COLOR)
        assert np.abs(read[..., ::-1].astype(int) - pixels).max() <= 4

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_a_map_is_scaled_so_that_1_is_white(self, tmp_path, dtype):
        cv2 = pytest.importorskip("cv2")
        heat = np.random.default_rng(0).random((9, 12)).astype(dtype)
        heat[0, :2] = 0, 1
        wanted = heat.astype(np.float64) * 255
        write_picture(tmp_path / "a.png", heat)
        read = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_COLOR)
        assert np.abs(read - wanted[..., None]).max() <= 0.51
        colours = np.stack([heat, heat[::-1], heat[:, ::-1]], axis=2)
        write_picture(tmp_path / "a.png", colours)
        read = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_COLOR)[..., ::-1]
        assert np.abs(read - colours.astype(np.float64) * 255).max() <= 0.51

    def test_levels_of_grey_stay(self, tmp_path):
        cv2 = pytest.importorskip("cv2")
        levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
        write_picture(tmp_path / "a.png", levels)
        assert np.array_equal(cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_GRAYSCALE), levels)

    @pytest.mark.parametrize(
        ("pixels", "message"),
        [
            (np.array([[0.0, 1.5]]), r"must lie in \[0, 1\], got 0 to 1\.5"),
            (np.array([[-0.1, 1.0]]), r"must lie in \[0, 1\], got -0\.1 to 1"),
            (np.array([[np.nan, 1.0]]), r"must lie in \[0, 1\], got nan"),
            (np.zeros((2, 3, 4, 3)), r"must be \(H, W, 3\) or \(H, W\), got shape \(2, 3, 4, 3\)"),
            (np.zeros((3, 4), np.int64), "must be uint8, or floating point"),
        ],
    )
    def test_what_is_no_picture(self, tmp_path, pixels, message):
        with pytest.raises(ValueError, match=message):
            write_picture(tmp_path / "a.png", pixels)
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize("name", ["a.xyz", "a"])
    def test_a_suffix_without_a_format(self, tmp_path, name):
        pytest.importorskip("cv2")
        with pytest.raises(ValueError, match="path must end in a suffix that OpenCV can write"):
            write_picture(tmp_path / name, np.zeros((2, 2, 3), np.uint8))
        assert os.listdir(tmp_path) == []
