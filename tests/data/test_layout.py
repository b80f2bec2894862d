"""Data sets recognized by their layout."""

import pytest
from small_datasets import cub, mask, metadata, picture

from fastcam.data import DataError, read_dataset


def test_each_layout_is_recognized(tmp_path):
    cub(tmp_path / "cub")
    assert read_dataset(tmp_path / "cub").dataset == "CUB"
    picture(tmp_path / "openimages" / "val" / "x" / "1.jpg")
    for name in ("1_mx_1", "1_ignore"):
        mask(tmp_path / "openimages" / "val" / "x" / f"{name}.png", (48, 64), (0, 0, 9, 9))
    assert read_dataset(tmp_path / "openimages", "val").has_masks
    picture(tmp_path / "imagenet" / "train" / "n01440764" / "1.jpg")
    assert read_dataset(tmp_path / "imagenet", "train").dataset == "ILSVRC"
    metadata(tmp_path / "own" / "test", {"a/1.jpg": (0, (64, 48), ["1,2,3,4"])})
    assert read_dataset(tmp_path / "own")[0].path == tmp_path / "own" / "a" / "1.jpg"


@pytest.mark.parametrize("name", ["none", ""])
def test_what_is_none_of_them(tmp_path, name):
    with pytest.raises(DataError, match=r"no such folder|neither CUB-200-2011"):
        read_dataset(tmp_path / name)
