"""Features, layout and classifier of a network, found without names."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

import fastcam
from fastcam import models
from fastcam.extractors.attachment import attach, state_of
from fastcam.extractors.automatic import CamMethod, GradientMapWarning
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
    assert attach(model, IMAGES).features == "block"


def test_maps_of_one_position_are_not_taken_for_features() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, (32, 48)), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    with pytest.raises(NoLinearMapError, match="one position"):
        attach(model.eval(), IMAGES)


class TestLocalizer:
    """Without names."""

    def test_a_linear_map_is_found(self) -> None:
        model = Tokens().eval()
        with fastcam.Localizer(model) as localizer:
            logits, found = localizer(IMAGES, top_k=2)
            assert str(localizer.inspect(IMAGES)).startswith("features='block'")
            assert localizer.num_classes == 5
        torch.testing.assert_close(logits, model(IMAGES).logits)
        with torch.no_grad():
            heard = model.block(torch.cat([model.extra.expand(2, -1, -1), tokens(model)], 1))
        features = heard[:, 2:].transpose(1, 2).reshape(2, 8, 4, 6)
        weight = model.head.weight * model.norm.weight
        expected = fastcam.localize(
            features, (weight - weight.mean(1, keepdim=True)).detach(), logits.topk(2).indices, size=(32, 48)
        )
        assert found.boxes.equal(expected.boxes)

    def test_a_folded_weight_follows_the_parameters(self) -> None:
        model = Tokens().eval()
        localizer = fastcam.Localizer(model)
        before = localizer.features(IMAGES)[2]
        with torch.no_grad():
            model.norm.weight.mul_(torch.arange(1.0, 9.0))
        after = localizer.features(IMAGES)[2]
        weight = model.head.weight * model.norm.weight
        torch.testing.assert_close(after, weight - weight.mean(1, keepdim=True))
        assert not torch.allclose(before, after)

    def test_no_linear_map_is_said_and_a_gradient_taken(self) -> None:
        localizer = fastcam.Localizer(Tokens(by_class_token=True).eval())
        with pytest.raises(ValueError, match="no module's output has positions"):
            localizer(IMAGES)  # nothing but the class token reaches these logits
        model = hidden_layer()
        with pytest.warns(GradientMapWarning, match=r"hidden layer.*Grad-CAM at '1'"):
            logits, found = fastcam.Localizer(model)(IMAGES)
        assert found.boxes.shape == (2, 4)
        torch.testing.assert_close(logits, model(IMAGES).detach())
        with pytest.raises(ValueError, match=r"no linear map: a hidden layer.*cam='auto'"):
            fastcam.Localizer(model, cam="cam")(IMAGES)

    @pytest.mark.parametrize("cam", ["grad-cam", "grad-cam++", "xgrad-cam", "layer-cam", "hires-cam"])
    @pytest.mark.parametrize("features", [None, "1"])
    def test_a_gradient_method_by_choice(self, cam: CamMethod, features: str | None) -> None:
        localizer = fastcam.Localizer(hidden_layer(), features, cam=cam)
        logits, found = localizer(IMAGES, torch.tensor([[0, 1], [1, 2]]), return_maps=True)
        assert found.boxes.shape == (2, 2, 4)
        assert found.maps is not None
        assert found.maps.shape == (2, 2, 32, 48)
        assert not logits.requires_grad
        assert not found.maps.requires_grad

    def test_what_is_no_choice(self) -> None:
        model = hidden_layer()
        with pytest.raises(ValueError, match=r"cam must be 'auto', 'cam' or one of grad-cam, .*got 'eigen'"):
            fastcam.Localizer(model, cam="eigen")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="takes no classifier"):
            fastcam.Localizer(model, "1", "6", cam="grad-cam")
        with pytest.raises(ValueError, match="'9' is no module"):
            fastcam.Localizer(model, "9", cam="grad-cam")
        with pytest.raises(ValueError, match="no maps or tokens"):
            fastcam.Localizer(model, "6", cam="grad-cam")(IMAGES)
        with pytest.raises(ValueError, match=r"call model\.eval\(\)"):
            fastcam.Localizer(hidden_layer().train())(IMAGES)
        with pytest.raises(RuntimeError, match="first batch"):
            _ = fastcam.Localizer(model).num_classes

    def test_no_images_and_images_of_nan(self) -> None:
        localizer = fastcam.Localizer(Tokens().eval())
        assert localizer(IMAGES[:0])[1].boxes.shape == (0, 4)
        images = IMAGES.clone()
        images[1] = torch.nan
        _, found = fastcam.Localizer(Tokens().eval())(images)
        assert found.boxes[1].tolist() == [0, 0, 0, 0]
        assert found.boxes[0].sum() > 0

    def test_resnet_s_names_that_do_not_explain_the_logits(self) -> None:
        model = nn.Sequential(
            OrderedDict(
                layer4=nn.Conv2d(3, 8, 5), relu=nn.ReLU(), pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(),
                norm=nn.BatchNorm1d(8), fc=nn.Linear(8, 5),
            )
        ).eval()  # fmt: skip
        model.norm.running_mean.copy_(torch.rand(8))
        localizer = fastcam.Localizer(model)
        _, features, weight = localizer.features(IMAGES)
        torch.testing.assert_close(features, model.layer4(IMAGES).relu().detach())
        torch.testing.assert_close(weight, (model.fc.weight / (1 + 1e-5) ** 0.5).detach())


def tokens(model: Tokens) -> Tensor:
    return model.patches(IMAGES).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


def hidden_layer() -> nn.Sequential:
    torch.manual_seed(0)
    pool = (nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.ReLU(), *pool, nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 5)).eval()
