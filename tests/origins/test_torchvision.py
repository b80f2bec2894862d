"""Classifiers of torchvision by name, where torchvision is installed."""

import numpy as np
import pytest
import torch
from libraries import library
from PIL import Image

import fastcam
from fastcam.inputs import Inputs
from fastcam.origins import LoadError

SIZES = [(97, 131), (260, 181), (641, 333)]


@pytest.fixture(scope="module")
def models():
    return library("torchvision.models")


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_large.IMAGENET1K_V2", "efficientnet_b1", "swin_v2_t"])
def test_the_pixels_are_those_of_the_weights_own_transform(models, name):
    from fastcam.origins.torchvision import _inputs

    plain, _, tag = name.partition(".")
    transform = models.get_model_weights(plain)[tag or "DEFAULT"].transforms()
    generator = np.random.default_rng(0)
    for size in SIZES:
        picture = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
        assert torch.equal(_inputs(transform)(picture), transform(Image.fromarray(picture)))


def test_a_network_of_weights_on_disk(models, tmp_path):
    torch.manual_seed(0)
    theirs = models.resnet18(num_classes=5).eval()
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "birds.pth")
    network = fastcam.load("torchvision:resnet18", weights=tmp_path / "birds.pth", device="cpu")
    assert network.inputs == Inputs((256, 256), (224, 224), fit="cover", crop_offset="round")
    assert network.classes == tuple(f"class {number}" for number in range(5))
    images = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        assert torch.equal(network.extractor.features(images)[0], theirs(images))


def test_names(models):
    network = fastcam.load("torchvision:resnet18", weights="random", device="cpu")
    assert network.classes == tuple(models.ResNet18_Weights.DEFAULT.meta["categories"])


def test_a_network_with_branches_of_a_file_without(models, tmp_path):
    theirs = models.googlenet(aux_logits=False, init_weights=False).eval()
    torch.save(theirs.state_dict(), tmp_path / "inception.pth")
    network = fastcam.load("torchvision:googlenet", weights=tmp_path / "inception.pth", size=(64, 64), device="cpu")
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network.extractor.features(images)[0], theirs(images))


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:resnt18", "torchvision has no classifier 'resnt18'; did you mean 'torchvision:resnet18'"),
        ("torchvision:fcn_resnet50", "torchvision has no classifier 'fcn_resnet50'"),
        ("torchvision:resnet18.BEST", "has no weights 'BEST'; it has IMAGENET1K_V1"),
    ],
)
def test_what_is_no_name(name, message):
    with pytest.raises(LoadError, match=message) as caught:
        fastcam.load(name)
    assert caught.value.argument == "source"


def test_weights_that_cannot_be_downloaded(models, monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no such host")

    monkeypatch.setattr(models, "get_model", unreachable)
    with pytest.raises(
        LoadError, match="torchvision could not make resnet18: OSError: no such host; weights=FILE"
    ) as caught:
        fastcam.load("torchvision:resnet18")
    assert caught.value.argument == "weights"
