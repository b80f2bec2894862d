"""The one door to a network: what it takes, and what it refuses."""

import pytest
import torch
from classifiers import Net

pytest.importorskip("lightning_fabric")
Image = pytest.importorskip("PIL.Image")

import fastcam  # noqa: E402
from fastcam.data.synthetic import write_synthetic  # noqa: E402
from fastcam.extractors import GradientMapWarning  # noqa: E402
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

    def test_a_name_without_weights(self):
        network = fastcam.load("mobilenetv1", weights="random", size=(64, 64), device="cpu")
        assert network.extractor is network.model
        assert len(network.classes) == 1000

    def test_a_gradient_method_in_place_of_the_methods_own_maps(self, trained):
        network = fastcam.load(trained.checkpoint, cam="layer-cam", device="cpu")
        images = torch.rand(2, 3, 32, 32)
        found = network.extractor.localize(images, 1)[1]
        own = fastcam.Localizer(network.model, cam="layer-cam").localize(images, 1)[1]
        assert torch.equal(found.boxes, own.boxes)
        assert isinstance(fastcam.load(trained.checkpoint, cam="cam", device="cpu").extractor, MethodExtractor)

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
            (Net(), {"weights": "random"}, "weights", "a module has weights of its own"),
            (Net(), {"cam": "CAM"}, "cam", "cam must be one of 'auto', 'cam', 'grad-cam'"),
            (Net(), {"cam": "layer-cam", "classifier": "fc"}, "features", "cam='layer-cam' takes no classifier"),
            ("nowhere:", {}, "source", "nowhere:"),
            ("timm:", {}, "source", "timm:"),
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


class TestWithoutNames:
    """Where the maps of a network come from is found when it is loaded."""

    @staticmethod
    def network(*behind):
        return torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 8, 8), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), *behind
        )

    def test_a_linear_map(self):
        model = self.network(torch.nn.LayerNorm(8), torch.nn.Linear(8, 5))
        network = fastcam.load(model, size=(32, 48), classes=list("abcde"))
        assert network.extractor.num_classes == 5
        picture = torch.rand(3, 50, 70)
        found = network(picture, 2)
        assert found.names == ("c",)
        assert found.boxes.shape == (1, 4)

    def test_a_gradient_map_is_said(self):
        model = self.network(torch.nn.Linear(8, 9), torch.nn.ReLU(), torch.nn.Linear(9, 5))
        with pytest.warns(GradientMapWarning, match="hidden layer"):
            network = fastcam.load(model, size=(32, 48))
        assert network.extractor.num_classes == 5

    def test_images_that_the_network_does_not_take(self):
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(7, 5))
        with pytest.raises(LoadError, match="shapes cannot be multiplied") as caught:
            fastcam.load(model, size=(32, 48))
        assert caught.value.argument == "features"
