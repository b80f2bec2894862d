"""Gradient maps: formulas by hand, gradients by differences, and where they are taken."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import fastcam
from fastcam.extractors.automatic import CamMethod, GradientMapWarning
from fastcam.extractors.gradient import GRADIENT_METHODS, GradientExtraction, GradientMethod, class_gradients, watched
from fastcam.extractors.gradient_source import gradient_source
from fastcam.extractors.layout import Layout
from fastcam.reference.gradient import grad_cam

IMAGES = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))


class Hidden(nn.Module):
    """A hidden layer between the pooling and the classifier, and a layer that writes into the features."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Conv2d(3, 8, 8, 8)
        self.act = nn.ReLU(inplace=True)
        self.hidden = nn.Linear(8, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.hidden(self.act(self.body(images)).mean((2, 3))).tanh())  # type: ignore[no-any-return]


def extraction(method: GradientMethod, labels: Tensor) -> GradientExtraction:
    model = Hidden().double().eval()
    images = IMAGES.double()
    with torch.no_grad(), watched(model.body, reads_input=False) as held:
        logits = model(images)
        gradients = torch.stack(list(class_gradients(logits, labels, held[0])), 1)
    return GradientExtraction(logits.detach(), labels, (32, 48), held[0].detach(), gradients, method)


def test_gradients_are_those_of_differences_at_what_the_next_layer_left() -> None:
    model = Hidden().double().eval()
    labels = torch.tensor([[1, 4], [0, 2]])
    given = extraction("grad-cam", labels)
    with torch.no_grad():
        features = model.body(IMAGES.double()).relu()
    torch.testing.assert_close(given.features, features)
    rest = lambda f: model.head(model.hidden(f.mean((2, 3))).tanh())  # noqa: E731
    step = 1e-6
    for n, t, c, y, x in [(0, 0, 3, 1, 2), (1, 1, 7, 3, 5), (0, 1, 0, 0, 0)]:
        moved = torch.zeros_like(features)
        moved[n, c, y, x] = step
        with torch.no_grad():
            slope = (rest(features + moved) - rest(features - moved))[n, labels[n, t]] / (2 * step)
        assert given.gradients[n, t, c, y, x].item() == pytest.approx(slope.item(), abs=1e-7)


def test_the_caller_s_gradient_mode_is_left_as_it_was() -> None:
    assert torch.is_grad_enabled()
    extraction("grad-cam", torch.tensor([0, 1]))
    assert torch.is_grad_enabled()
    with torch.no_grad():
        extraction("grad-cam", torch.tensor([0, 1]))
        assert not torch.is_grad_enabled()


def by_hand(method: str, f: np.ndarray, g: np.ndarray, clamp: bool) -> np.ndarray:
    """One image, in loops over channels."""
    total = np.zeros(f.shape[1:])
    for fc, gc in zip(f, g, strict=True):
        if method == "layer-cam":
            total += np.maximum(gc, 0) * fc
            continue
        if method == "hires-cam":
            total += gc * fc
            continue
        if method == "grad-cam":
            weight = gc.sum()
        elif method == "xgrad-cam":
            weight = (fc / fc.sum() * gc).sum() if fc.sum() != 0 else 0.0
        else:
            below = 2 * gc**2 + fc.sum() * gc**3
            alpha = np.divide(gc**2, below, out=np.zeros_like(gc), where=below != 0)
            weight = (alpha * np.maximum(gc, 0)).sum()
        total += (max(weight, 0) if clamp else weight) * fc
    return np.maximum(total, 0)


@pytest.mark.parametrize("method", GRADIENT_METHODS)
@pytest.mark.parametrize("clamp", [True, False])
def test_formulas(method: GradientMethod, clamp: bool) -> None:
    given = extraction(method, torch.tensor([[1, 4], [0, 2]]))
    maps = given.maps(clamp_negative=clamp)
    assert maps.shape == (2, 2, 4, 6)
    for n in range(2):
        for t in range(2):
            expected = by_hand(method, given.features[n].numpy(), given.gradients[n, t].numpy(), clamp)
            np.testing.assert_allclose(maps[n, t].numpy(), expected, atol=1e-12)


def test_grad_cam_is_cam_where_there_is_one() -> None:
    torch.manual_seed(1)
    body, head = nn.Conv2d(3, 8, 8, 8), nn.Linear(8, 5)
    model = nn.Sequential(body, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).eval()
    labels = torch.tensor([3, 1])
    with torch.no_grad(), watched(model[1], reads_input=False) as held:
        logits = model(IMAGES)
        (gradient,) = class_gradients(logits, labels, held[0])
    torch.testing.assert_close(grad_cam(held[0].detach(), gradient), head.weight.detach()[labels])


class Patches(nn.Module):
    """Patches cut without a convolution, so that they are never maps."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.cut, self.embed = nn.Unfold(side, stride=side), nn.Linear(3 * side * side, 8)

    def forward(self, images: Tensor) -> Tensor:
        return self.embed(self.cut(images).transpose(1, 2)).transpose(1, 2)  # type: ignore[no-any-return]


class Attention(nn.Module):
    """One class token's attention; its matrix and its values by heads pass through modules, as (N, heads, ., .)."""

    def __init__(self, *, tokens_in_front: int, side: int = 8, maps: bool = True) -> None:
        super().__init__()
        self.drop, self.named = nn.Dropout(), nn.Identity()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 8, side, side) if maps else Patches(side)
        self.extra = nn.Parameter(torch.rand(1, tokens_in_front, 8))
        self.norm = nn.LayerNorm(8)
        self.query, self.key, self.value = (nn.Linear(8, 8) for _ in range(3))
        self.head = nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = self.norm(torch.cat([self.extra.expand(len(x), -1, -1), x], 1))
        weights = self.drop((self.query(x) @ self.key(x).transpose(1, 2)).softmax(2)[:, None])
        values = self.named(self.value(x)[:, None])
        return self.head((weights @ values)[:, 0].mean(1) + (weights @ values)[:, 0, 0])  # type: ignore[no-any-return]


@pytest.mark.parametrize("maps", [True, False])
@pytest.mark.parametrize("tokens", [1, 2, 5])
def test_of_a_class_token_s_network_the_tokens_before_the_last_attention_are_taken(tokens: int, maps: bool) -> None:
    found = gradient_source(Attention(tokens_in_front=tokens, maps=maps).eval(), IMAGES, "of a class token")
    assert (found.features, found.layout) == ("norm", Layout(3, 2, tokens))
    assert str(found).endswith("gradient maps, because of a class token")


def test_the_grid_of_tokens_is_that_of_the_patches_where_the_image_s_aspect_is_another() -> None:
    # 6 x 9 patches of 14 pixels cover 84 x 126 of 96 x 128 pixels.
    images = torch.rand(1, 3, 96, 128)
    found = gradient_source(Attention(tokens_in_front=1, side=14).eval(), images, "of a class token")
    assert (found.features, found.layout) == ("norm", Layout(3, 2, 1))


@pytest.mark.parametrize("size", [(64, 64), (96, 64)])
def test_a_matrix_of_an_attention_is_no_picture(size: tuple[int, int]) -> None:
    found = gradient_source(Attention(tokens_in_front=1).eval(), torch.rand(1, 3, *size), "of a class token")
    assert (found.features, found.layout) == ("norm", Layout(3, 2, 1))


def test_where_there_is_nothing_but_linear_layers_one_of_them_is_taken() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.mix, self.head = nn.Linear(3 * 64, 8), nn.Linear(8, 8), nn.Linear(8, 5)

        def forward(self, images: Tensor) -> Tensor:
            patches = self.embed(nn.functional.unfold(images, 8, stride=8).transpose(1, 2))
            return self.head(self.mix(patches).mean(1).tanh())  # type: ignore[no-any-return]

    found = gradient_source(Bare().eval(), IMAGES, "of a hidden layer")
    assert (found.features, found.layout) == ("mix", Layout(3, 2))


def test_of_a_hidden_layer_s_network_the_last_maps_are_taken() -> None:
    found = gradient_source(Hidden().eval(), IMAGES, "of a hidden layer")
    assert (found.features, found.layout) == ("act", Layout(4, 1))


def test_of_no_positions_no_map() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 48, 5)).eval()
    with pytest.raises(ValueError, match=r"flattened.*no module's output has positions"):
        gradient_source(model, IMAGES, "the maps are flattened")


@pytest.mark.parametrize("cam", ["grad-cam", "auto", "layer-cam"])
@pytest.mark.parametrize("maker", [lambda: Hidden(), lambda: Attention(tokens_in_front=2), lambda: linear_network()])
def test_one_image_is_run_once_and_of_more_one_is_run_twice(cam: CamMethod, maker: Callable[[], nn.Module]) -> None:
    model = maker().eval()
    calls: list[int] = []
    model.register_forward_pre_hook(lambda _, args: calls.append(len(args[0])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GradientMapWarning)
        first = fastcam.Localizer(model, cam=cam)
        alone = first.extract(IMAGES[:1], top_k=2)
        assert calls == [1]
        again = first.extract(IMAGES[:1], top_k=2)
        assert calls == [1, 1]
        several = fastcam.Localizer(model, cam=cam).extract(IMAGES, top_k=2)
        assert calls == [1, 1, 1, 2]
    assert not alone.logits.requires_grad
    assert not alone.maps().requires_grad
    for other in (again, several):
        torch.testing.assert_close(alone.logits, other.logits[:1])
        assert alone.labels.equal(other.labels[:1])
        torch.testing.assert_close(alone.maps(), other.maps()[:1])


def linear_network() -> nn.Module:
    torch.manual_seed(0)
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.ReLU(inplace=True), pool, nn.Linear(8, 5))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_source_is_found_where_gradients_are_off(mode: type[torch.no_grad]) -> None:
    model = Hidden().eval()
    with mode():
        found = gradient_source(model, IMAGES.clone(), "of a hidden layer")
        assert not torch.is_grad_enabled()
    assert found.features == "act"
