"""Features, layout and classifier of a network, found without names."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

import fastcam
from fastcam import models
from fastcam.extractors.attachment import attach, state_of
from fastcam.extractors.layout import Layout
from fastcam.extractors.linear_walk import NoLinearMapError
from fastcam.pooling import GAP

IMAGES = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))


class Tokens(nn.Module):
    """Patches, a class token and a register, a layer over tokens, and the mean of the patches."""

    def __init__(self, *, by_class_token: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 8, 8, 8)
        self.extra = nn.Parameter(torch.rand(1, 2, 8))
        self.block = nn.Sequential(nn.Linear(8, 8), nn.GELU())
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 5)
        self.by_class_token = by_class_token

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = self.block(torch.cat([self.extra.expand(len(x), -1, -1), x], 1))
        return Logits(self.head(self.norm(x[:, 0] if self.by_class_token else x[:, 2:].mean(1))))


class Logits(OrderedDict[str, Tensor]):
    """As Hugging Face gives them."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits=logits)
        self.logits = logits


def test_tokens_behind_others_and_a_folded_norm() -> None:
    model = Tokens().eval()
    found = attach(model, IMAGES)
    assert (found.features, found.layout, found.pooling) == ("block", Layout(3, 2, prefix=2), "mean")
    assert found.folded == ("layer norm",)
    assert found.classifier is None
    weight = model.head.weight * model.norm.weight
    torch.testing.assert_close(found.weight, weight - weight.mean(1, keepdim=True))
    assert str(found).startswith("features='block' (N, L, C) without the first 2 tokens, pooled by mean, weight folded")


def test_one_image_suffices() -> None:
    assert attach(Tokens().eval(), IMAGES[:1]).features == "block"


def test_a_class_token_is_said() -> None:
    with pytest.raises(NoLinearMapError, match="class token"):
        attach(Tokens(by_class_token=True).eval(), IMAGES)


@pytest.mark.parametrize("name", ["vgg16", "mobilenetv1", "resnet50-se", "googlenet", "efficientnet-lite0"])
@pytest.mark.parametrize("pooling", ["gap", "tap"])
def test_the_projects_own_networks(name: str, pooling: str) -> None:
    torch.manual_seed(0)
    layer = fastcam.TAP(0.1) if pooling == "tap" else GAP()
    model = models.create(name, num_classes=7, pooling=layer).eval()
    images = torch.rand(2, 3, 96, 64)
    found = attach(model, images)
    assert found.pooling == ("TAP(0.1)" if pooling == "tap" else "mean")
    assert found.folded == ()
    with torch.no_grad():
        features = model.extract(images).features
    assert found.classifier is not None
    assert found.weight.equal(model.get_submodule(found.classifier).weight.detach().flatten(1))
    heard: list[Tensor] = []
    module = model.get_submodule(found.features.removesuffix(":input"))
    if found.features.endswith(":input"):
        module.register_forward_pre_hook(lambda _, args: heard.append(args[0]))
    else:
        module.register_forward_hook(lambda _, __, output: heard.append(output))
    with torch.no_grad():
        model(images)
    torch.testing.assert_close(heard[-1], features)


def test_a_name_of_maps_comes_before_one_of_tokens_and_an_output_before_an_input() -> None:
    model = nn.Sequential(
        OrderedDict(
            body=nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 8, 3), act=nn.ReLU(inplace=True))),
            flat=nn.Flatten(2),
            pool=nn.AdaptiveAvgPool1d(1),
            out=nn.Sequential(nn.Flatten(), nn.Linear(8, 4)),
        )
    ).eval()
    found = attach(model, IMAGES)
    assert (found.features, found.layout, found.classifier) == ("body", Layout(4, 1), "out.1")


def test_training_mode_is_refused() -> None:
    model = Tokens()
    with pytest.raises(NoLinearMapError, match=r"eval\(\)"):
        attach(model, IMAGES)
    model.eval().norm.train()
    with pytest.raises(NoLinearMapError, match=r"eval\(\)"):
        attach(model, IMAGES)


def test_the_model_is_left_as_it_was() -> None:
    model = Tokens().eval()
    before = state_of(model)
    attach(model, IMAGES)
    assert state_of(model) == before
    assert not any(module._forward_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_state_changes_with_what_a_weight_is_folded_from() -> None:
    model = Tokens().eval()
    states = [state_of(model)]
    with torch.no_grad():
        model.norm.weight.mul_(2)
    states.append(state_of(model))
    model.norm.weight = nn.Parameter(torch.ones(8))
    states.append(state_of(model))
    model.load_state_dict(Tokens().state_dict())
    states.append(state_of(model))
    model.norm.weight.data = torch.zeros(8)
    states.append(state_of(model))
    assert len(set(states)) == len(states)


def test_compiled_networks_are_read_as_they_are_written() -> None:
    model = torch.compile(Tokens().eval(), backend="eager")
    model(IMAGES)
    assert attach(model, IMAGES).features == "_orig_mod.block"


def test_maps_of_one_position_are_not_taken_for_features() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, (32, 48)), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    with pytest.raises(NoLinearMapError, match="one position"):
        attach(model.eval(), IMAGES)
