"""The one door to a network: what it takes, and what it refuses."""

import numpy as np
import pytest
import torch
from classifiers import Net

pytest.importorskip("lightning_fabric")
Image = pytest.importorskip("PIL.Image")

import fastcam  # noqa: E402
from fastcam.data.synthetic import write_synthetic  # noqa: E402
from fastcam.inputs import Inputs  # noqa: E402
from fastcam.methods import MethodExtractor  # noqa: E402
from fastcam.models import VGG16, create  # noqa: E402
from fastcam.sources import LoadError  # noqa: E402
from fastcam.training import TrainingConfig, start_engine, train  # noqa: E402

TINY = {"num_classes": 3, "width": 1 / 16}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A training by ACoL, whose method has weights of its own."""
    folder = tmp_path_factory.mktemp("trained")
    write_synthetic(folder / "birds", train=16, test=4, classes=3, size=40)
    config = TrainingConfig(
        data=str(folder / "birds"),
        model="vgg16",
        model_options={"width": 1 / 16},
        method="acol",
        method_options={"threshold": 0.6},
        tap_threshold=0.2,
        epochs=1,
        batch_size=8,
        resize=40,
        crop=32,
        workers=0,
    )
    return train(config, folder / "run", start_engine(device="cpu"))


class TestSources:
    def test_a_checkpoint_restores_network_method_inputs_and_names(self, trained):
        network = fastcam.load(trained.checkpoint, device="cpu")
        assert isinstance(network.extractor, MethodExtractor)
        assert network.extractor.method.threshold == 0.6
        assert network.model.pool.threshold == 0.2
        assert network.inputs == trained.inputs == Inputs((32, 32))
        assert network.classes == ("class_00", "class_01", "class_02")
        assert not network.model.training
        assert not network.extractor.method.training
        images = torch.rand(2, 3, 32, 32)
        wanted = MethodExtractor(trained.model, trained.method).localize(images)
        logits, found = network.extractor.localize(images)
        assert torch.equal(logits, wanted[0])
        assert torch.equal(found.boxes, wanted[1].boxes)

    def test_as_weights_of_its_own_network_it_says_the_same(self, trained):
        network = fastcam.load("vgg16", weights=trained.checkpoint, device="cpu")
        assert isinstance(network.extractor, MethodExtractor)
        assert network.classes == ("class_00", "class_01", "class_02")
        with pytest.raises(LoadError, match=r"is of model 'vgg16', got 'resnet50'"):
            fastcam.load("resnet50", weights=trained.checkpoint)

    def test_what_is_asked_for_goes_before_what_the_checkpoint_says(self, trained):
        network = fastcam.load(trained.checkpoint, pooling="gap", size=(48, 64), classes=["a", "b", "c"])
        assert type(network.model.pool).__name__ == "GAP"
        assert network.inputs.size == (48, 64)
        assert network.classes == ("a", "b", "c")

    def test_a_name_with_a_file_of_weights_has_as_many_classes_as_that(self, tmp_path):
        # ResNet50's own file of another library: its classifier is called fc.
        state = create("resnet50", num_classes=7).state_dict()
        torch.save({name.replace("classifier.", "fc."): value for name, value in state.items()}, tmp_path / "theirs.pt")
        network = fastcam.load("resnet50", weights=tmp_path / "theirs.pt", device="cpu")
        assert network.extractor.num_classes == 7
        assert network.classes[6] == "class 6"

    def test_a_module_of_ones_own(self):
        network = fastcam.load(Net(), classes=list("abcde"), size=(40, 32), mean=(0, 0, 0), std=(1, 1, 1), device="cpu")
        assert network.name == "Net"
        assert isinstance(network.extractor, fastcam.Localizer)
        assert network.inputs == Inputs((40, 32), mean=(0, 0, 0), std=(1, 1, 1))

    def test_a_network_of_the_library_by_other_modules(self):
        model = VGG16(**TINY)
        network = fastcam.load(model, features="features.28", classifier="classifier", device="cpu")
        with pytest.raises(ValueError, match="columns of the weight"):
            network.extractor.localize(torch.rand(1, 3, 64, 64))

    @pytest.mark.parametrize(
        ("source", "options", "argument", "message"),
        [
            ("resnet51", {}, "source", "did you mean 'resnet50'"),
            ("no_such:thing", {}, "source", "No module named 'no_such'"),
            ("os:getcwd", {}, "source", "must return a torch.nn.Module, got str"),
            ("vgg16", {"weights": "nowhere.pt"}, "weights", "nowhere.pt"),
            (Net(), {"features": "layer5"}, "features", "close to it: 'layer4'"),
            (Net(), {"classes": ["a"]}, "classes", "has 1 names, the model 5 classes"),
            (Net(), {"size": (0, 3)}, "size", "each at least 1"),
            (Net(), {"device": "abacus"}, "device", "abacus"),
        ],
    )
    def test_what_cannot_be_loaded_is_said_with_the_argument(self, source, options, argument, message):
        with pytest.raises(LoadError, match=message) as caught:
            fastcam.load(source, **options)
        assert caught.value.argument == argument

    def test_weights_alone_are_no_network(self, tmp_path):
        torch.save(VGG16(**TINY).state_dict(), tmp_path / "weights.pt")
        with pytest.raises(LoadError, match="name the network that it holds weights of"):
            fastcam.load(tmp_path / "weights.pt")

    def test_a_checkpoint_with_a_part_missing(self, trained, tmp_path):
        content = torch.load(trained.checkpoint)
        torch.save({**content, "method_state": {}}, tmp_path / "half.pt")
        with pytest.raises(LoadError, match="its weights are not those of its own settings"):
            fastcam.load(tmp_path / "half.pt")


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
