"""What is said of a network's maps."""

import pytest
import torch
from torch import nn

import fastcam
from fastcam.extractors import Attachment, GradientSource
from fastcam.inputs import Inputs
from fastcam.inspection import inspect_network
from fastcam.methods import MethodExtractor, create_method
from fastcam.models import VGG16
from fastcam.network import Network
from fastcam.sources import LoadError


def loaded(*layers, **options):
    torch.manual_seed(0)
    return fastcam.load(nn.Sequential(*layers), size=(32, 48), device="cpu", **options)


def test_modules_that_can_be_named_and_what_is_pooled():
    network = loaded(
        nn.Conv2d(3, 16, 4, 4),
        nn.Identity(),
        nn.Conv2d(16, 8, 2, 2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )
    found = inspect_network(network)
    assert isinstance(found.source, Attachment)
    assert [(one.features, one.channels, one.grid, one.is_pooled) for one in found.maps] == [
        ("0", 16, (8, 12), False),
        ("1", 16, (8, 12), False),
        ("2", 8, (4, 6), False),
        ("3", 8, (4, 6), True),
    ]
    # Each of them can be named.
    for one in found.maps:
        named = fastcam.Localizer(network.model, one.features, cam="grad-cam")
        assert named.extract(torch.rand(1, 3, 32, 48)).maps().shape[-2:] == one.grid


class ClassToken(nn.Module):
    """One attention and a class token, which alone is classified."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.attention = nn.Conv2d(3, 8, 8, 8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm, self.head, self.token = nn.LayerNorm(8), nn.Linear(8, 5), nn.Parameter(torch.randn(1, 1, 8))

    def forward(self, images):
        tokens = self.patches(images).flatten(2).mT
        tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1)
        return self.head(self.norm(tokens + self.attention(tokens, tokens, tokens)[0])[:, 0])


def test_positions_that_do_not_reach_the_logits():
    network = fastcam.load(ClassToken(), size=(32, 48), cam="grad-cam", device="cpu")
    found = inspect_network(network)
    # Behind the attention the classifier sees the class token alone.
    assert {one.features: one.reaches for one in found.maps} == {"patches": True, "attention": False, "norm": False}
    assert "'norm'" not in str(found)


def test_what_was_found_is_what_is_used():
    network = loaded(nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    images = torch.rand(2, 3, 32, 48)
    _, features, weight = network.extractor.features(images)
    found = inspect_network(network)
    assert torch.equal(weight, found.source.weight)
    with torch.no_grad():
        assert torch.equal(features, network.model[:2](images))


def test_the_model_and_its_gradients_are_left_alone():
    network = loaded(
        nn.Conv2d(3, 8, 4, 4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 9),
        nn.ReLU(),
        nn.Linear(9, 5),
        cam="grad-cam",
    )
    found = inspect_network(network)
    assert isinstance(found.source, GradientSource)
    assert found.method == "grad-cam"
    assert all(one.grad is None for one in network.model.parameters())
    assert all(not part._forward_hooks for part in network.model.modules())


@pytest.mark.parametrize("name", ["acol", "wildcat"])
def test_a_method_with_maps_of_its_own_is_said(name):
    model, method = VGG16(num_classes=5, width=1 / 16).eval(), create_method(name)
    method.attach(model)
    network = Network(
        "it", model, MethodExtractor(model, method.eval()), Inputs((64, 64)), tuple("abcde"), torch.device("cpu")
    )
    assert f"boxes are found in the maps of its method, {name}, and not in these" in str(inspect_network(network))
    model = VGG16(num_classes=5, width=1 / 16).eval()
    cam = create_method("cam")
    network = Network("it", model, MethodExtractor(model, cam), Inputs((64, 64)), tuple("abcde"), torch.device("cpu"))
    assert inspect_network(network).remarks == ()


@pytest.mark.parametrize("cam", ["grad-cam", "layer-cam"])
def test_a_gradient_method_in_place_of_a_classifiers_own_map(cam):
    network = fastcam.load(VGG16(num_classes=5, width=1 / 16), size=(64, 64), cam=cam, device="cpu")
    found = inspect_network(network)
    assert (found.method, type(found.source)) == (cam, GradientSource)
    images = torch.rand(2, 3, 64, 64)
    own = fastcam.Localizer(network.model, cam=cam).localize(images, 3)[1]
    assert torch.equal(network.extractor.localize(images, 3)[1].boxes, own.boxes)


def test_a_method_that_does_not_exist():
    with pytest.raises(LoadError, match=r"cam must be one of 'auto', 'cam', .*, got 'score-cam'") as caught:
        loaded(nn.Conv2d(3, 8, 4, 4), cam="score-cam")
    assert caught.value.argument == "cam"
