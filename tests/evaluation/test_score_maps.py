"""Score maps in files."""

import os
import pickle

import numpy as np
import pytest

from fastcam.evaluation.score_maps import ScoreMapError, ScoreMaps, is_raw, writing_score_maps

HEAT = np.arange(6, dtype=np.float64).reshape(2, 3) / 5


class TestReading:
    @pytest.mark.parametrize("kind", ["npy", "npz", "archive", "compressed"])
    def test_every_form_holds_the_same(self, tmp_path, kind):
        name = "a/b.jpg"
        (tmp_path / "a").mkdir()
        root = tmp_path
        if kind == "npy":
            np.save(tmp_path / "a" / "b.jpg.npy", HEAT)
        elif kind == "npz":
            np.savez_compressed(tmp_path / "a" / "b.jpg.npz", HEAT)
        else:
            root = tmp_path / "all.npz"
            (np.savez if kind == "archive" else np.savez_compressed)(root, **{name: HEAT, "other": HEAT * 2})
        maps = ScoreMaps(root)
        read = maps.read(name)
        np.testing.assert_array_equal(read, HEAT)
        assert read.dtype == HEAT.dtype
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(maps)).read(name), HEAT)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (np.zeros(4), r"must be \(h, w\) with at least one pixel, got shape \(4,\)"),
            (np.zeros((1, 2, 3)), r"got shape \(1, 2, 3\)"),
            (np.zeros((0, 3)), r"got shape \(0, 3\)"),
            (np.zeros((2, 2), np.uint8), "must be of a floating-point type, got uint8"),
            (np.array([[0, np.nan]]), "must be finite, got a NaN"),
            (np.array([[0, -np.inf]]), "must be finite, got an infinity"),
            (np.array([[{}]], object), "not an array that can be loaded safely"),
        ],
    )
    def test_what_is_no_score_map_is_named(self, tmp_path, values, message):
        np.save(tmp_path / "a.jpg.npy", values, allow_pickle=True)
        with pytest.raises(ScoreMapError, match=message) as caught:
            ScoreMaps(tmp_path).read("a.jpg")
        assert str(tmp_path / "a.jpg.npy") in str(caught.value)

    def test_missing_and_broken_files(self, tmp_path):
        with pytest.raises(ScoreMapError, match=r"a\.jpg\.npy: no such score map"):
            ScoreMaps(tmp_path).read("a.jpg")
        (tmp_path / "a.jpg.npy").write_bytes(b"junk")
        with pytest.raises(ScoreMapError, match=r"a\.jpg\.npy: not an array"):
            ScoreMaps(tmp_path).read("a.jpg")
        np.savez(tmp_path / "b.jpg.npz", HEAT, HEAT)
        with pytest.raises(ScoreMapError, match=r"b\.jpg\.npz: holds 2 arrays, expected one"):
            ScoreMaps(tmp_path).read("b.jpg")
        with pytest.raises(ScoreMapError, match="no such file or folder"):
            ScoreMaps(tmp_path / "none")
        with pytest.raises(ScoreMapError, match=r"not a \.npz archive"):
            ScoreMaps(tmp_path / "a.jpg.npy")
        np.savez(tmp_path / "all.npz", x=HEAT)
        with pytest.raises(ScoreMapError, match=r"all\.npz\[y\]: no such score map"):
            ScoreMaps(tmp_path / "all.npz").read("y")


class TestSizes:
    def test_full_size_is_used_as_given_and_smaller_is_raw(self):
        assert not is_raw(HEAT, (2, 3), "a")
        assert is_raw(HEAT * 100 - 7, (4, 4), "a")

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (HEAT * 1.01, r"a: a full-size score map must lie in \[0, 1\], got 0 to 1.01"),
            (HEAT - 0.01, r"must lie in \[0, 1\], got -0.01 to 0.99"),
            (np.zeros((3, 3)), r"a: is 3x3 \(height x width\), larger than the 2x3 evaluated"),
        ],
    )
    def test_what_cannot_be_evaluated(self, values, message):
        with pytest.raises(ScoreMapError, match=message):
            is_raw(values, (2, 3), "a")


class TestWriting:
    def test_numpy_reads_it_too(self, tmp_path):
        with writing_score_maps(tmp_path / "a.npz") as writer:
            writer.write("x/1.jpg", HEAT.astype(np.float32))
            writer.write("2.jpg", HEAT.T)
            assert not (tmp_path / "a.npz").exists()
        with np.load(tmp_path / "a.npz") as arrays:
            assert arrays.files == ["x/1.jpg", "2.jpg"]
            np.testing.assert_array_equal(arrays["2.jpg"], HEAT.T)

    @pytest.mark.parametrize("dtype", [np.float64, np.float32, ">f8"])
    def test_a_map_of_one_channel_is_written_without_it(self, tmp_path, dtype):
        with writing_score_maps(tmp_path / "a.npz") as writer:
            writer.write("1.jpg", HEAT[None].astype(dtype))
        np.testing.assert_array_equal(ScoreMaps(tmp_path / "a.npz").read("1.jpg"), HEAT.astype(dtype))

    def test_a_failure_leaves_no_trace(self, tmp_path):
        with pytest.raises(ValueError, match="Object arrays"), writing_score_maps(tmp_path / "a.npz") as writer:
            writer.write("1.jpg", None)
        assert os.listdir(tmp_path) == []
