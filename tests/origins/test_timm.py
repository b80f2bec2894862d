"""Networks of timm by name, where timm is installed."""

import numpy as np
import pytest
import torch
from libraries import library
from PIL import Image

import fastcam
from fastcam.extractors import GradientMapWarning
from fastcam.inputs import Inputs
from fastcam.origins import LoadError
from fastcam.origins.timm import timm_inputs

SIZES = [(97, 131), (260, 181), (225, 225), (641, 333)]


@pytest.fixture(scope="module")
def timm():
    library("timm.data")
    return library("timm")


def pictures():
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((224, 224), {}),
        ((96, 96), {"crop_pct": 0.95, "interpolation": "bicubic"}),
        ((64, 96), {"crop_pct": 0.9, "interpolation": "bilinear"}),
        ((96, 64), {"crop_pct": 1.0}),
        ((75, 75), {"crop_pct": 0.9, "crop_mode": "squash", "interpolation": "lanczos"}),
        ((64, 80), {"crop_pct": 1.0, "crop_mode": "squash"}),
        ((33, 33), {"crop_pct": 0.9, "interpolation": "nearest"}),
    ],
)
def test_the_pixels_are_those_of_timms_own_transform(timm, size, options):
    config = timm.data.resolve_data_config(
        {"input_size": (3, *size)}, pretrained_cfg={"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.25), **options}
    )
    inputs, transform = timm_inputs(config), timm.data.create_transform(**config, is_training=False)
    for picture in pictures():
        assert torch.equal(inputs(picture), transform(Image.fromarray(picture)))


def test_a_crop_mode_that_pads_is_none(timm):
    config = timm.data.resolve_data_config({}, pretrained_cfg={"crop_mode": "border", "input_size": (3, 64, 64)})
    transform = timm.data.create_transform(**config, is_training=False)
    from fastcam.origins.library import proved_inputs

    with pytest.raises(
        ValueError, match=r"the preprocessing of it is none that fastcam.inputs.Inputs can say \(.*levels"
    ):
        proved_inputs([timm_inputs(config)], transform, "it")


def test_a_network_of_weights_on_disk(timm, tmp_path):
    torch.manual_seed(0)
    theirs = timm.create_model("test_resnet", num_classes=7).eval()
    torch.save(theirs.state_dict(), tmp_path / "birds.pth")
    network = fastcam.load("timm:test_resnet", weights=tmp_path / "birds.pth", device="cpu")
    assert network.name == "timm:test_resnet"
    assert network.classes == tuple(f"class {number}" for number in range(7))
    half = (0.5, 0.5, 0.5)
    assert network.inputs == Inputs((168, 168), (160, 160), "bilinear", half, half, "cover", "round")
    images = torch.rand(1, 3, 96, 96)
    logits, _, _ = network.extractor.features(images)
    with torch.no_grad():
        assert torch.equal(logits, theirs(images))
    found = network(pictures()[0])
    assert found.boxes.shape == (1, 4)


@pytest.mark.usefixtures("timm")
def test_names_and_an_input_of_another_size():
    network = fastcam.load("timm:test_resnet", weights="random", size=(64, 96), device="cpu")
    assert network.classes[:2] == ("tench, Tinca tinca", "goldfish, Carassius auratus")
    assert (network.inputs.size, network.inputs.fit) == ((64, 96), "stretch")
    with pytest.warns(GradientMapWarning, match="class token"):
        network = fastcam.load("timm:test_vit", weights="random", size=(64, 96), device="cpu")
    logits, found = network.extractor.localize(torch.rand(1, 3, 64, 96), 3)
    assert logits.shape == (1, 1000)
    assert found.boxes.shape == (1, 4)


def test_a_network_that_ends_in_features(timm, monkeypatch):
    make = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **_: make(name, num_classes=0))
    with pytest.raises(LoadError, match="timm's test_vit has no classes"):
        fastcam.load("timm:test_vit", weights="random")


@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize(
    ("name", "options", "argument", "message"),
    [
        (
            "timm:test_resne",
            {"weights": "random"},
            "source",
            "timm has no classifier 'test_resne'; did you mean 'timm:test_resnet",
        ),
        ("timm:test_resnet.nowhere", {"weights": "random"}, "source", "Invalid pretrained tag"),
        ("timm:test_resnet", {"weights": "nowhere.pth"}, "weights", "nowhere.pth"),
        ("timm:test_resnet", {"weights": "random", "features": "layer9"}, "features", "close to it: 'layer"),
    ],
)
def test_what_cannot_be_loaded(name, options, argument, message):
    with pytest.raises(LoadError, match=message) as caught:
        fastcam.load(name, **options)
    assert caught.value.argument == argument


def test_weights_that_do_not_fit(timm, tmp_path):
    state = timm.create_model("test_resnet", num_classes=7).state_dict()
    del state["layer1.0.conv1.weight"]
    torch.save(state, tmp_path / "half.pth")
    with pytest.raises(LoadError, match=r"does not fit the model: layer1.0.conv1.weight missing"):
        fastcam.load("timm:test_resnet", weights=tmp_path / "half.pth")


def test_weights_that_cannot_be_downloaded(timm, monkeypatch):
    def unreachable(*_, **__):
        raise OSError("we cannot reach huggingface.co")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(
        LoadError, match=r"timm could not make test_resnet: OSError: we cannot reach huggingface.co; weights="
    ) as caught:
        fastcam.load("timm:test_resnet")
    assert caught.value.argument == "weights"
