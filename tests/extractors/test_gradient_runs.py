"""Gradient maps however a network is run: modes, types, frozen and checkpointed parts, memory, several classes."""

from __future__ import annotations

import functools

import pytest
import torch
from gradient_network import IMAGES, LABELS, Net, found, model
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

import fastcam
from fastcam.extractors.gradient import GRADIENT_METHODS, MapExtraction, RowExtraction


@functools.cache
def by_autograd(method: str) -> Tensor:
    """The papers' formulas image by image and class by class, in float64."""
    net, found = model().double(), []
    for image, classes in zip(IMAGES.double(), LABELS, strict=True):
        for k in classes:
            features = net.body(image[None]).relu().detach().requires_grad_()
            logit = net.head(net.tail(features).mean((2, 3)))[0, k]
            (g,) = torch.autograd.grad(logit, features)
            f = features.detach()
            if method == "layer-cam":
                found.append((f * g.clamp(min=0)).sum(1))
                continue
            if method == "hires-cam":
                found.append((f * g).sum(1).clamp(min=0))
                continue
            if method == "grad-cam":
                weights = g.sum((2, 3))
            elif method == "xgrad-cam":
                weights = (f * g / f.sum((2, 3), keepdim=True)).nan_to_num(0).sum((2, 3))
            else:
                alpha = g**2 / (2 * g**2 + g**3 * f.sum((2, 3), keepdim=True))
                weights = (alpha.nan_to_num(0) * g.clamp(min=0)).sum((2, 3))
            found.append((weights.clamp(min=0)[..., None, None] * f).sum(1))
    return torch.cat(found).reshape(*LABELS.shape, *found[0].shape[1:])


def check(net: nn.Module, images: Tensor = IMAGES, method: str = "grad-cam", tolerance: float = 1e-5) -> None:
    wanted = by_autograd(method)
    maps = found(net, images, method).maps()
    assert (maps - wanted).abs().max() <= tolerance * wanted.max()


@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_values(method: str) -> None:
    check(model(), method=method)
    check(model().double(), IMAGES.double(), method, 1e-12)


@pytest.mark.parametrize("method", GRADIENT_METHODS)
@pytest.mark.parametrize("at_once", [2, 3, 7])
def test_classes_at_once_change_nothing(method: str, at_once: int) -> None:
    wanted = found(model(), method=method).maps()
    torch.testing.assert_close(found(model(), method=method, classes_at_once=at_once).maps(), wanted)


@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_no_classes_and_no_images(method: str) -> None:
    none = torch.zeros(3, 0, dtype=torch.int64)
    assert found(model(), method=method, labels=none).maps().shape == (3, 0, 6, 9)
    assert found(model(), IMAGES[:0], method, LABELS[:0]).maps().shape == (0, 3, 6, 9)
    assert found(model(), IMAGES[:0], method, LABELS[:0, 0]).localize().boxes.shape == (0, 4)


def test_boxes_are_those_of_the_maps() -> None:
    for method in GRADIENT_METHODS:
        extraction = found(model(), method=method)
        assert isinstance(
            extraction, RowExtraction if "r-cam" not in method and "s-cam" not in method else MapExtraction
        )
        for protocol in (fastcam.PAPER, fastcam.WSOLEVAL):
            maps = extraction.maps(clamp_negative=protocol.clamp_negative)
            boxes = extraction.localize(protocol=protocol).boxes
            for t in range(3):
                expected = fastcam.boxes_from_maps(maps[:, t], size=(24, 36), protocol=protocol)
                assert torch.equal(boxes[:, t], expected.boxes)


@pytest.mark.parametrize("method", ["grad-cam", "layer-cam"])
def test_frozen_parameters(method: str) -> None:
    check(model().requires_grad_(False), method=method)


@pytest.mark.parametrize(
    "around", [torch.no_grad, torch.inference_mode, torch.enable_grad], ids=lambda mode: mode.__name__
)
@pytest.mark.parametrize("method", ["grad-cam", "layer-cam"])
def test_modes_around_the_call(around, method: str) -> None:
    wanted = found(model(), method=method).maps()
    with around():
        net, given = model(), IMAGES.clone()
        if around is torch.inference_mode:
            assert given.is_inference()
            with torch.inference_mode(False):
                net = model()
        maps = found(net, given, method, LABELS.clone()).maps()
        assert torch.is_inference_mode_enabled() == (around is torch.inference_mode)
    torch.testing.assert_close(maps, wanted)
    assert not maps.requires_grad


def test_parameters_of_inference_mode_are_named() -> None:
    with torch.inference_mode():
        net = model()
        with pytest.raises(ValueError, match="load the model outside"):
            found(net)


def test_nothing_is_left_on_the_model() -> None:
    net = model()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found(net)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in net.modules())


def test_training_mode_is_refused_at_every_batch() -> None:
    net = model()
    localizer = fastcam.Localizer(net, "body", cam="grad-cam")
    localizer.extract(IMAGES)
    net.tail[2].train()
    with pytest.raises(ValueError, match=r"call model\.eval\(\)"):
        localizer.extract(IMAGES)


@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_mixed_precision(method: str) -> None:
    wanted = by_autograd(method)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = found(model(), method=method).maps()
    narrow = found(model().bfloat16(), IMAGES.bfloat16(), method).maps()
    for maps in (mixed, narrow):
        assert maps.dtype == torch.float32
        # On average: where a value is about 0, rounding decides whether the ReLU behind it passes a gradient.
        assert (maps - wanted).abs().mean() <= 0.03 * wanted.mean()


class Checkpointed(Net):
    """Recomputes what is behind the features, or what they are in."""

    where = "tail"

    def run_tail(self, features: Tensor) -> Tensor:
        if self.where == "tail":
            return checkpoint(self.tail, features, use_reentrant=False)  # type: ignore[no-any-return]
        return self.tail(features)  # type: ignore[no-any-return]

    def forward(self, images: Tensor) -> Tensor:
        if self.where == "all":
            return checkpoint(super().forward, images, use_reentrant=False)  # type: ignore[no-any-return]
        return super().forward(images)


@pytest.mark.parametrize("where", ["tail", "all"])
@pytest.mark.parametrize("method", ["grad-cam", "layer-cam"])
def test_checkpointed_blocks(where: str, method: str) -> None:
    net = Checkpointed().eval()
    net.where = where
    check(net, method=method)
    torch.testing.assert_close(
        found(net, method=method, classes_at_once=3).maps(), found(model(), method=method).maps()
    )


class Convolutions(TorchDispatchMode):
    """Counts backward convolutions, and those that are asked for a parameter's gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.all = self.of_parameters = self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.convolution_backward.default:
            self.all += 1
            self.of_parameters += any(args[-1][1:])
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.largest = max(self.largest, result.numel())
        return result


def test_one_backward_pass_a_class_that_stops_at_the_features() -> None:
    localizer = fastcam.Localizer(model(), "body", cam="grad-cam")
    localizer.extract(IMAGES)
    with Convolutions() as counted:
        localizer.extract(IMAGES, LABELS)
    assert (counted.all, counted.of_parameters) == (3, 0)  # the tail's, once for each class and all images


@pytest.mark.parametrize("method", ["grad-cam", "layer-cam"])
def test_memory_does_not_grow_with_the_classes(method: str) -> None:
    localizer = fastcam.Localizer(model(), "body", cam=method)
    localizer.extract(IMAGES)
    one = 3 * 8 * 6 * 9  # values of the largest tensor between features and logits, those of three images
    with Convolutions() as counted:
        localizer.extract(IMAGES, LABELS.repeat(1, 8))
    assert counted.largest <= max(one, IMAGES.numel(), 3 * 24 * 6 * 9)


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError)])
def test_classes_at_once_is_a_count(value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="classes_at_once must be"):
        fastcam.Localizer(model(), "body", cam="grad-cam", classes_at_once=value)  # type: ignore[arg-type]
