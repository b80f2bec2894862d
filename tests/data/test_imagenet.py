"""ImageNet's folders and XML."""

import pytest
from small_datasets import annotation, picture

from fastcam.data import DataError, read_imagenet
from fastcam.images import PictureError

FISH, SHARK = "n01440764", "n01484850"


@pytest.fixture
def root(tmp_path):
    """Two training pictures, three validation pictures without class folders, and boxes."""
    for wnid in (SHARK, FISH):
        picture(tmp_path / "train" / wnid / f"{wnid}_1.JPEG")
    boxes = tmp_path / "Annotations" / "CLS-LOC" / "val"
    for number, objects in enumerate(
        [[(SHARK, (1, 2, 30, 40))], [(FISH, (5, 5, 20, 20)), (FISH, (30, 5, 63, 47))], [(SHARK, (0, 0, 63, 47))]], 1
    ):
        picture(tmp_path / "val" / f"ILSVRC2012_val_0000000{number}.JPEG")
        annotation(boxes / f"ILSVRC2012_val_0000000{number}.xml", (48, 64), objects)
    return tmp_path


def xml(root, number):
    return root / "Annotations" / "CLS-LOC" / "val" / f"ILSVRC2012_val_0000000{number}.xml"


def test_training_pictures(root):
    split = read_imagenet(root, "train")
    assert [record.id for record in split] == [f"train/{wnid}/{wnid}_1.JPEG" for wnid in (FISH, SHARK)]
    assert [record.label for record in split] == [0, 1]
    assert split.classes == (FISH, SHARK)
    assert not split.has_boxes


def test_validation_pictures_take_class_and_boxes_from_the_xml(root):
    split = read_imagenet(root, "val")
    assert [record.label for record in split] == [1, 0, 1]
    assert split[1].boxes.tolist() == [[5, 5, 20, 20], [30, 5, 63, 47]]
    assert split[0].id == "val/ILSVRC2012_val_00000001.JPEG"
    assert split[0].size == (48, 64)
    assert split.ends == "inclusive"


def test_validation_pictures_in_class_folders(root):
    for number, wnid in ((1, SHARK), (2, FISH), (3, SHARK)):
        path = root / "val" / f"ILSVRC2012_val_0000000{number}.JPEG"
        (root / "val" / wnid).mkdir(exist_ok=True)
        path.rename(root / "val" / wnid / path.name)
    assert {record.id: record.label for record in read_imagenet(root)} == {
        f"val/{FISH}/ILSVRC2012_val_00000002.JPEG": 0,
        f"val/{SHARK}/ILSVRC2012_val_00000001.JPEG": 1,
        f"val/{SHARK}/ILSVRC2012_val_00000003.JPEG": 1,
    }


def test_the_layout_of_the_challenge_and_boxes_elsewhere(root, tmp_path):
    home = tmp_path / "Data" / "CLS-LOC"
    home.mkdir(parents=True)
    for part in ("train", "val"):
        (root / part).rename(home / part)
    (root / "Annotations").rename(tmp_path / "xml")
    assert read_imagenet(root, boxes=tmp_path / "xml" / "CLS-LOC" / "val").has_boxes
    with pytest.raises(DataError, match="its class is not known: it is in no class folder and has no boxes"):
        read_imagenet(root)


def test_a_picture_that_cannot_be_read(root):
    (root / "val" / "ILSVRC2012_val_00000002.JPEG").write_text("no picture")
    with pytest.raises(PictureError, match="00000002"):
        read_imagenet(root)
    bad = []
    assert len(read_imagenet(root, on_bad=bad.append)) == 2
    assert len(bad) == 1


@pytest.mark.parametrize(
    ("objects", "size", "message"),
    [
        ([(FISH, (1, 2, 99, 40))], (48, 64), r"1.xml: object 1: box \(1, 2, 99, 40\) lies outside its image"),
        ([(FISH, (1, 2, 3, 4)), (FISH, (9, 2, 3, 4))], (48, 64), r"1.xml: object 2: box .* must have x0 <= x1"),
        ([(FISH, (1, 2, 3, "x"))], (48, 64), "1.xml: object 1: ymax must be a number, got 'x'"),
        (
            [("fish", (1, 2, 3, 4))],
            (48, 64),
            "1.xml: object 1: name must be a WordNet id such as n01440764, got 'fish'",
        ),
        ([(FISH, (1, 2, 3, 4)), (SHARK, (1, 2, 3, 4))], (48, 64), f"1.xml: objects of {FISH}, {SHARK} in a picture of"),
        ([(FISH, (1, 2, 3, 4))], (47, 64), r"1.xml: size 64x47, but the picture is 64x48 \(width x height\)"),
        ([], (48, 64), "1.xml: no object"),
    ],
)
def test_a_bad_annotation_is_named(root, objects, size, message):
    annotation(xml(root, 1), size, objects)
    with pytest.raises(DataError, match=message):
        read_imagenet(root)


def test_what_is_missing(root, tmp_path):
    xml(root, 3).write_text("<annotation>\n<object>")
    with pytest.raises(DataError, match=r"3\.xml:2: not XML"):
        read_imagenet(root)
    xml(root, 3).unlink()
    with pytest.raises(DataError, match=r"3\.JPEG: no ILSVRC2012_val_00000003\.xml among the boxes"):
        read_imagenet(root)
    with pytest.raises(DataError, match="neither test/ nor Data/CLS-LOC/test/ is in it"):
        read_imagenet(root, "test")
    with pytest.raises(DataError, match="no such folder of boxes"):
        read_imagenet(root, boxes=tmp_path / "none")
    (root / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        read_imagenet(root, "empty")


@pytest.mark.parametrize("boxed", [False, True])
def test_class_folders_of_any_name(tmp_path, boxed):
    for part, names in (("train", "cat dog emu"), ("val", "cat dog")):
        for name in names.split():
            picture(tmp_path / part / name / f"{name}1.png")
    if boxed:
        for name in ("cat", "dog"):
            annotation(tmp_path / "xml" / f"{name}1.xml", (48, 64), [(name, (5, 5, 20, 20))])
    split = read_imagenet(tmp_path, boxes=tmp_path / "xml" if boxed else None)
    assert split.classes == ("cat", "dog", "emu")
    assert [(record.id, record.label) for record in split] == [("val/cat/cat1.png", 0), ("val/dog/dog1.png", 1)]
    assert split.has_boxes == boxed
    assert split.title == tmp_path.name


def test_a_folder_that_is_no_class_folder_has_the_class_of_the_boxes(root):
    (root / "val" / "images").mkdir()
    for path in (root / "val").glob("*.JPEG"):
        path.rename(root / "val" / "images" / path.name)
    split = read_imagenet(root)
    assert split.classes == (FISH, SHARK)
    assert [record.label for record in split] == [1, 0, 1]
