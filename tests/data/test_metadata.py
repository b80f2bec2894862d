"""Metadata folders of wsolevaluation."""

import numpy as np
import pytest
from small_datasets import mask, metadata, picture

from fastcam.data import DataError, read_mask, read_metadata
from fastcam.images import PictureError
from fastcam.inputs import RESIZE

IMAGES = {
    "auk/1.jpg": (0, (500, 335), ["60,27,385,331"]),
    "auk/2.jpg": (0, (100, 80), ["0,0,20,20", "30,40,99,79"]),
    "wren/3.jpg": (1, (500, 375), ["111,108,441,193"]),
}


class TestBoxes:
    def test_records(self, tmp_path):
        split = read_metadata(metadata(tmp_path / "CUB" / "test", IMAGES), "test", images="birds")
        assert [record.id for record in split] == list(IMAGES)
        assert [record.label for record in split] == [0, 0, 1]
        assert [record.size for record in split] == [(335, 500), (80, 100), (375, 500)]
        assert split[1].boxes.tolist() == [[0, 0, 20, 20], [30, 40, 99, 79]]
        assert split[0].path.as_posix() == "birds/auk/1.jpg"
        assert split.classes == ("auk", "wren")
        assert RESIZE.boxes(split[2].boxes, split[2].size).tolist() == [[49, 64, 197, 115]]

    def test_the_folder_is_found_from_above(self, tmp_path):
        metadata(tmp_path / "CUB" / "test", IMAGES)
        for root, dataset in ((tmp_path, "CUB"), (tmp_path / "CUB", ""), (tmp_path / "CUB" / "test", "")):
            assert len(read_metadata(root, "test", dataset=dataset)) == 3
        with pytest.raises(DataError, match=r"no image_ids\.txt in .*CUB/val, .*/val, "):
            read_metadata(tmp_path, "val", dataset="CUB")

    @pytest.mark.parametrize(("dataset", "end"), [("CUB", "exclusive"), ("ILSVRC", "inclusive"), ("", "inclusive")])
    def test_what_the_far_corner_means(self, tmp_path, dataset, end):
        assert read_metadata(metadata(tmp_path, IMAGES), dataset=dataset).ends == end

    def test_a_proxy_list_is_a_part(self, tmp_path):
        root = metadata(tmp_path, IMAGES)
        (root / "image_ids_proxy.txt").write_text("wren/3.jpg\n")
        assert [record.id for record in read_metadata(root, proxy=True)] == ["wren/3.jpg"]

    def test_a_part_of_the_ids_is_a_part(self, tmp_path):
        root = metadata(tmp_path, IMAGES)
        (root / "image_ids.txt").write_text("wren/3.jpg\nauk/1.jpg")
        assert [record.id for record in read_metadata(root)] == ["wren/3.jpg", "auk/1.jpg"]

    def test_no_boxes_as_in_training_sets(self, tmp_path):
        root = metadata(tmp_path, {name: (label, size, []) for name, (label, size, _) in IMAGES.items()}, sizes=False)
        split = read_metadata(root, "train")
        assert not split.has_boxes
        assert split[0].boxes.shape == (0, 4)
        assert split[0].size is None

    def test_sizes_come_from_the_pictures_where_no_file_says_them(self, tmp_path):
        root = metadata(tmp_path / "meta", IMAGES, sizes=False)
        for name, (_, (width, height), _) in IMAGES.items():
            picture(tmp_path / "in" / name, (height, width))
        (tmp_path / "in" / "auk" / "2.jpg").write_text("no picture")
        with pytest.raises(PictureError, match=r"2\.jpg"):
            read_metadata(root, images=tmp_path / "in")
        bad = []
        split = read_metadata(root, images=tmp_path / "in", on_bad=bad.append)
        assert [record.size for record in split] == [(335, 500), (375, 500)]
        assert len(bad) == 1

    def test_labels_without_folders_of_their_own_are_numbered(self, tmp_path):
        images = {"val/1.jpg": (0, (9, 9), ["0,0,8,8"]), "val/2.jpg": (2, (9, 9), ["0,0,8,8"])}
        assert read_metadata(metadata(tmp_path, images)).classes == ("class 0", "class 1", "class 2")

    def test_an_id_with_a_comma(self, tmp_path):
        root = metadata(tmp_path, {"auk, little/1.jpg": (0, (9, 9), ["1,2,3,4"])})
        assert read_metadata(root)[0].boxes.tolist() == [[1, 2, 3, 4]]


class TestMasks:
    def test_instances_are_joined_and_the_ignored_region_yields_to_them(self, tmp_path):
        root = metadata(tmp_path / "meta", {"a/1.jpg": (0, (0, 0), ["1m.png,1i.png", "1n.png,"])}, sizes=False)
        mask(tmp_path / "1m.png", (448, 448), (0, 0, 100, 448))
        mask(tmp_path / "1n.png", (448, 448), (300, 0, 448, 448))
        mask(tmp_path / "1i.png", (448, 448), (50, 0, 350, 224))
        split = read_metadata(root, masks=tmp_path)
        found = read_mask(split[0])
        wanted = np.zeros((224, 224), np.uint8)
        wanted[:112, 25:175] = 255
        wanted[:, :50] = wanted[:, 150:] = 1
        np.testing.assert_array_equal(found, wanted)
        assert split.has_masks
        assert not split.has_boxes

    def test_the_folder_of_masks_may_be_above(self, tmp_path):
        root = metadata(tmp_path / "meta", {"a/1.jpg": (0, (0, 0), ["1m.png,"])}, sizes=False)
        mask(tmp_path / "masks" / "OpenImages" / "1m.png", (8, 8), (0, 0, 8, 8))
        assert read_mask(read_metadata(root, masks=tmp_path / "masks")[0]).all()

    @pytest.mark.parametrize("content", [None, b"", b"no picture"])
    def test_a_mask_that_cannot_be_read(self, tmp_path, content):
        root = metadata(tmp_path / "meta", {"a/1.jpg": (0, (0, 0), ["1m.png,"])}, sizes=False)
        if content is not None:
            (tmp_path / "1m.png").write_bytes(content)
        with pytest.raises(PictureError, match=r"1m\.png: "):
            read_mask(read_metadata(root, masks=tmp_path)[0])

    @pytest.mark.parametrize("size", [(300, 200), (224, 224), (97, 513)])
    def test_resized_as_opencv_does(self, tmp_path, size):
        cv2 = pytest.importorskip("cv2")
        rng = np.random.default_rng(0)
        path = tmp_path / "1m.png"
        cv2.imwrite(str(path), rng.integers(0, 2, size, dtype=np.uint8) * 255)
        root = metadata(tmp_path / "meta", {"a/1.jpg": (0, (0, 0), ["1m.png,"])}, sizes=False)
        read = np.float32(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
        wanted = cv2.resize(read, (224, 224), interpolation=cv2.INTER_NEAREST) > 0.5
        np.testing.assert_array_equal(read_mask(read_metadata(root, masks=tmp_path)[0]), wanted)


class TestErrors:
    @pytest.mark.parametrize(
        ("name", "old", "new", "message"),
        [
            ("image_ids.txt", "auk/2.jpg", "auk/1.jpg", "image_ids.txt:2: path 'auk/1.jpg' stands in line 1 already"),
            ("image_ids.txt", "auk/2.jpg", "new.jpg", r"image_ids.txt:2: 'new.jpg' has no line in class_labels.txt"),
            ("class_labels.txt", "auk/2.jpg,0", "auk/2.jpg", "txt:2: expected path,label, got 'auk/2.jpg'"),
            ("class_labels.txt", "auk/2.jpg,0", "auk/2.jpg,zero", "2: label must be a whole number, got 'zero'"),
            ("class_labels.txt", "auk/2.jpg,0", "auk/2.jpg,-1", "2: label must be at least 0, got -1"),
            ("image_sizes.txt", "100,80", "100,0", "image_sizes.txt:2: height must be at least 1, got 0"),
            ("image_sizes.txt", "auk/2.jpg,100,80\n", "", "ids.txt:2: 'auk/2.jpg' has no line in image_sizes.txt"),
            ("localization.txt", "99,79", "99", "localization.txt:3: expected path,x0,y0,x1,y1"),
            ("localization.txt", "99,79", "99,x", "localization.txt:3: y1 must be a number, got 'x'"),
            ("localization.txt", "99,79", "20,79", r"localization.txt:3: box \(30, 40, 20, 79\) must have x0 <= x1"),
            ("localization.txt", "99,79", "99,99", "txt:3: box .* lies outside its image, which is 100x80"),
            ("localization.txt", "auk/1.jpg", "auk/7.jpg", "ids.txt:1: 'auk/1.jpg' has no line in localization.txt"),
        ],
    )  # fmt: skip
    def test_a_bad_line_is_named(self, tmp_path, name, old, new, message):
        path = metadata(tmp_path, IMAGES) / name
        path.write_text(path.read_text().replace(old, new))
        with pytest.raises(DataError, match=message) as caught:
            read_metadata(tmp_path)
        assert str(caught.value).startswith(str(tmp_path))

    @pytest.mark.parametrize(
        ("parts", "message"),
        [
            (["m.png,i.png", "n.png,j.png"], "localization.txt:2: an ignore mask may stand on an image's first line"),
            ([",i.png"], "localization.txt:1: the mask's path is empty"),
            (["m.png"], "localization.txt:1: expected path,mask,ignore"),
        ],
    )
    def test_bad_lines_of_masks(self, tmp_path, parts, message):
        root = metadata(tmp_path, {"a/1.jpg": (0, (0, 0), parts)}, sizes=False)
        with pytest.raises(DataError, match=message):
            read_metadata(root)

    def test_no_ids(self, tmp_path):
        with pytest.raises(DataError, match=r"image_ids.txt: no image ids"):
            read_metadata(metadata(tmp_path, {}))
