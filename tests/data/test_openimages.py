"""OpenImages30K's folders."""

import pytest
from small_datasets import mask, picture

from fastcam.data import DataError, read_mask, read_openimages


@pytest.fixture
def root(tmp_path):
    for kind, name in (("0bt_c3", "3a29"), ("0bt_c3", "1cd9"), ("01226z", "7af7")):
        picture(tmp_path / "OpenImages" / "val" / kind / f"{name}.jpg")
        mask(tmp_path / "masks" / "val" / kind / f"{name}_m{kind}_6932e993.png", (48, 64), (0, 0, 32, 48))
        mask(tmp_path / "masks" / "val" / kind / f"{name}_ignore.png", (48, 64), (16, 0, 64, 24))
    mask(tmp_path / "masks" / "val" / "0bt_c3" / "1cd9_m0bt_c3_aaaaaaaa.png", (48, 64), (60, 0, 64, 48))
    return tmp_path


def test_records(root):
    split = read_openimages(root / "OpenImages", "val", masks=root / "masks")
    assert [record.id for record in split] == ["val/01226z/7af7.jpg", "val/0bt_c3/1cd9.jpg", "val/0bt_c3/3a29.jpg"]
    assert [record.label for record in split] == [0, 1, 1]
    assert split.classes == ("01226z", "0bt_c3")
    assert [path.name for path in split[1].masks] == ["1cd9_m0bt_c3_6932e993.png", "1cd9_m0bt_c3_aaaaaaaa.png"]
    assert split[0].ignore.name == "7af7_ignore.png"
    assert split.has_masks
    found = read_mask(split[1])
    assert (found[0, 0], found[0, 120], found[223, 120], found[0, 223]) == (1, 255, 0, 1)


def test_masks_among_the_pictures(root):
    (root / "masks" / "val").rename(root / "moved")
    for path in sorted((root / "moved").glob("*/*.png")):
        path.rename(root / "OpenImages" / "val" / path.parent.name / path.name)
    assert len(read_openimages(root / "OpenImages", "val")) == 3


def test_training_pictures_have_none(root):
    picture(root / "OpenImages" / "train" / "0bt_c3" / "1.jpg")
    assert not read_openimages(root / "OpenImages", "train").has_masks


def test_what_is_missing(root):
    pictures, masks = root / "OpenImages", root / "masks"
    with pytest.raises(DataError, match="test: no such folder"):
        read_openimages(pictures, "test", masks=masks)
    with pytest.raises(DataError, match=r"7af7\.jpg: no mask 7af7_m\*\.png in "):
        read_openimages(pictures, "val")
    (pictures / "val" / "0bt_c3" / "3a29.jpg").unlink()
    with pytest.raises(DataError, match=r"3a29_m0bt_c3_6932e993\.png: no picture 3a29\.\* in "):
        read_openimages(pictures, "val", masks=masks)
    (pictures / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures in folders of their classes"):
        read_openimages(pictures, "empty")
