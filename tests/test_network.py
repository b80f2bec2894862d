"""A network on pictures as people have them."""

import numpy as np
import pytest
import torch

Image = pytest.importorskip("PIL.Image")

import fastcam  # noqa: E402
from fastcam.inputs import Inputs  # noqa: E402
from fastcam.models import VGG16  # noqa: E402

TINY = {"num_classes": 3, "width": 1 / 16}


class TestNetwork:
    @pytest.fixture
    def network(self):
        torch.manual_seed(0)
        return fastcam.load(VGG16(**TINY), classes=("cat", "dog", "rocket"), size=(64, 64), device="cpu")

    @pytest.fixture
    def pixels(self):
        return np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)

    def test_pictures_as_people_have_them_are_the_same_picture(self, network, pixels, tmp_path):
        Image.fromarray(pixels).save(tmp_path / "a.png")
        planes = torch.from_numpy(pixels).permute(2, 0, 1)
        given = [
            pixels,
            Image.fromarray(pixels),
            tmp_path / "a.png",
            str(tmp_path / "a.png"),
            planes,
            planes / 255,
            pixels / 255,
            planes.double() / 255,
        ]
        found = network(given, top_k=2)
        for one in found:
            np.testing.assert_array_equal(one.boxes, found[0].boxes)
            np.testing.assert_array_equal(one.scores, found[0].scores)
        single = network(given[2], top_k=2)
        np.testing.assert_array_equal(single.boxes, found[0].boxes)
        assert single.names == tuple(network.classes[label] for label in single.labels)

    def test_boxes_are_those_of_the_input_in_the_pictures_own_pixels(self, network, pixels):
        found = network(pixels, 1, return_maps=True)
        _, expected = network.extractor.localize(network.inputs(pixels)[None], 1, return_maps=True)
        scaled = expected.boxes.double().numpy() * np.array([80, 48, 80, 48]) / 64
        np.testing.assert_array_equal(found.boxes, scaled)
        np.testing.assert_array_equal(found.maps, expected.maps.numpy())
        assert (found.size, found.names) == ((48, 80), ("dog",))

    def test_all_classes_above_a_probability(self, network, pixels):
        every = network(pixels, top_k=len(network.classes), probability="sigmoid")
        least = float(np.median(every.scores))
        (found,) = network([pixels], min_score=least, probability="sigmoid")
        kept = ~every.is_empty & (every.scores >= least)
        np.testing.assert_array_equal(found.boxes, every.boxes[kept])
        np.testing.assert_array_equal(found.scores, every.scores[kept])
        assert found.names == tuple(name for name, keep in zip(every.names, kept, strict=True) if keep)
        assert len(network(pixels, min_score=1).boxes) == 0

    def test_at_the_pictures_own_size(self, network, pixels):
        other = pixels[:30, :20]
        found = network([pixels, other], at="original", return_maps=True)
        for picture, one in zip((pixels, other), found, strict=True):
            _, expected = network.extractor.localize(network.inputs(picture)[None], size=picture.shape[:2])
            np.testing.assert_array_equal(one.boxes, expected.boxes.double().numpy())
            assert one.maps.shape == (1, *picture.shape[:2])

    def test_a_class_for_each_picture_whatever_the_batches(self, network, pixels):
        pictures = [pixels[: 20 + 3 * i] for i in range(5)]
        whole = network(pictures, [0, 1, 2, 1, 0], batch_size=5)
        for size in (1, 2):
            for one, other in zip(network(pictures, [0, 1, 2, 1, 0], batch_size=size), whole, strict=True):
                assert one.labels.tolist() == other.labels.tolist()
                np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5)
        assert [one.names for one in whole] == [("cat",), ("dog",), ("rocket",), ("dog",), ("cat",)]
        assert network([]) == []

    def test_boxes_through_a_crop_find_back(self, pixels):
        network = fastcam.load(VGG16(**TINY), size=(64, 64), device="cpu")
        network = type(network)(**{**vars(network), "inputs": Inputs((80, 80), (64, 64))})
        _, expected = network.extractor.localize(network.inputs(pixels)[None])
        wanted = (expected.boxes.double().numpy() + 8) * np.array([1, 0.6, 1, 0.6])
        np.testing.assert_allclose(network(pixels).boxes, wanted)
        with pytest.raises(ValueError, match="at='original' needs inputs that show the whole picture"):
            network(pixels, at="original")

    def test_an_aspect_that_is_kept(self, pixels):
        network = fastcam.load(VGG16(**TINY), size=(64, 64), device="cpu")
        covering = Inputs((72, 72), (64, 64), fit="cover")
        network = type(network)(**{**vars(network), "inputs": covering})
        # 48x80 becomes 72x120, of which rows 4 to 68 and columns 28 to 92 are kept.
        small = np.asarray(Image.fromarray(pixels).resize((120, 72), Image.Resampling.BILINEAR))[4:68, 28:92]
        _, expected = network.extractor.localize(covering.normalized(torch.tensor(small).permute(2, 0, 1)[None]))
        wanted = (expected.boxes.double().numpy() + np.array([28, 4, 28, 4])) * 48 / 72
        np.testing.assert_allclose(network(pixels).boxes, wanted)

    def test_nothing_found_stays_so_through_a_crop(self, pixels):
        network = fastcam.load(VGG16(**TINY), size=(64, 64), device="cpu")
        network = type(network)(**{**vars(network), "inputs": Inputs((80, 80), (64, 64))})
        with torch.no_grad():
            network.model.classifier.weight.fill_(-1)  # clamped, no map is left
        found = network(pixels, top_k=2)
        assert found.boxes.tolist() == [[0, 0, 0, 0]] * 2
        assert found.is_empty.tolist() == [True, True]

    @pytest.mark.parametrize(
        ("picture", "error", "message"),
        [
            (np.zeros((4, 4, 4), np.uint8), ValueError, r"must be \(H, W, 3\) or \(H, W\), got shape \(4, 4, 4\)"),
            (torch.zeros(4, 4, 3), ValueError, r"must be \(3, H, W\), \(1, H, W\) or \(H, W\), got shape \(4, 4, 3\)"),
            (np.full((4, 4), 1.5), ValueError, "must lie in \\[0, 1\\], got 1.5 to 1.5; normalized already"),
            (np.full((4, 4), np.nan), ValueError, "must lie in"),
            (np.zeros((4, 4), np.int64), ValueError, "got int64"),
            (3, TypeError, "a picture must be a path, a PIL image, an array or a tensor, got int"),
            ("nowhere.png", ValueError, "nowhere.png: no such file"),
        ],
    )
    def test_what_is_no_picture(self, network, picture, error, message):
        with pytest.raises(error, match=message):
            network(picture)

    def test_sizes_are_said_by_at(self, network, pixels):
        with pytest.raises(TypeError, match="size is not an option here"):
            network(pixels, size=(3, 3))
        with pytest.raises(ValueError, match="at must be 'input' or 'original', got 'both'"):
            network(pixels, at="both")
