"""The walk from logits to pooled features: every rule against autograd and the formulas, and what has no linear map."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import fastcam
from fastcam.extractors.linear_map import LinearMap, linear_map
from fastcam.extractors.linear_walk import NoLinearMapError
from fastcam.extractors.trace import Trace

CHANNELS, CLASSES = 8, 5


def found(head: Callable[[Tensor], Tensor], shape: tuple[int, ...] = (3, CHANNELS, 4, 6)) -> tuple[LinearMap, Tensor]:
    images = torch.rand(shape, generator=torch.Generator().manual_seed(1)) - 0.3
    with torch.no_grad(), Trace(images) as trace:
        features = images * 1
        logits = head(features)
    return linear_map(trace, logits), features


def linear(inputs: int = CHANNELS, outputs: int = CLASSES) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs)


def norm(layer: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(2)
    for tensor in [*layer.parameters(), *layer.buffers()]:
        if tensor.is_floating_point():
            tensor.data.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return layer.eval()


def mean(x: Tensor) -> Tensor:
    return x.mean((2, 3))


fc, hidden, second = linear(), linear(CHANNELS, 6), linear(6)
batch_norm, conv = norm(nn.BatchNorm1d(CHANNELS)), norm(nn.Conv2d(CHANNELS, CLASSES, 1))
scale = torch.rand(CHANNELS) + 0.5

LINEAR = {
    "linear": lambda x: fc(mean(x)),
    "part of the channels": lambda x: second(mean(x)[:, 1:7]),
    "without a bias": lambda x: mean(x) @ fc.weight.T,
    "adaptive pooling": lambda x: fc(functional.adaptive_avg_pool2d(x, 1).flatten(1)),
    "pooling by a window": lambda x: fc(functional.avg_pool2d(x, (4, 6)).flatten(1)),
    "dropout": lambda x: functional.dropout(fc(mean(x)), 0.5, training=False),
    "two linear layers": lambda x: second(hidden(mean(x))),
    "1x1 convolution": lambda x: conv(x.mean((2, 3), keepdim=True)).flatten(1),
    "batch norm": lambda x: fc(batch_norm(mean(x))),
    "scale and shift": lambda x: fc(mean(x) * scale + 0.5) / 2 - 1,
    "minus": lambda x: 1.5 - fc(mean(x)),
    "mean of two heads": lambda x: (fc(mean(x)) + second(hidden(mean(x)))) / 2,
    "difference of two heads": lambda x: torch.sub(fc(mean(x)), second(hidden(mean(x))), alpha=0.25),
    "concatenation": lambda x: fc(
        torch.cat([mean(x)[:, 2:5], mean(x)[:, :2], torch.ones(3, 2)[: len(x)], mean(x)[:, 5:6]], 1)
    ),
    "in place": lambda x: fc(mean(x).mul_(2).add_(1)),
    "views": lambda x: fc(mean(x).unsqueeze(1).squeeze(1)),
}


@pytest.mark.parametrize("name", LINEAR)
def test_the_weight_is_the_derivative_of_the_logits_by_the_pooled_features(name: str) -> None:
    head = LINEAR[name]
    result, features = found(head)
    assert result.features.equal(features.flatten(2))
    assert result.pooling == "mean"
    pooled = mean(features)[:1].requires_grad_()
    rows = torch.autograd.functional.jacobian(lambda p: head(p[:, :, None, None].expand(-1, -1, 4, 6))[0], pooled)
    torch.testing.assert_close(result.weight.float(), rows[:, 0], atol=1e-5, rtol=1e-5)
    assert result.difference < 1e-5


NORMS = {
    "layer norm": (norm(nn.LayerNorm(CHANNELS)), True),
    "layer norm without weights": (nn.LayerNorm(CHANNELS, elementwise_affine=False), True),
    "rms norm": (norm(nn.RMSNorm(CHANNELS)), False),
    "group norm": (norm(nn.GroupNorm(1, CHANNELS)), True),
}


@pytest.mark.parametrize("name", NORMS)
def test_a_normalization_of_the_pooled_vector_is_folded(name: str) -> None:
    layer, centred = NORMS[name]
    result, features = found(lambda x: fc(layer(mean(x))))
    pooled = mean(features).double()
    gain = getattr(layer, "weight", None)
    weight = fc.weight.double() * (1 if gain is None else gain.double())
    expected = weight - weight.mean(1, keepdim=True) if centred else weight
    torch.testing.assert_close(result.weight, expected)
    # PyTorch may take the RMS norm apart: a number an image and a scale.
    assert set(result.folded) <= ({"rms norm", "a number an image", "scale"} if name == "rms norm" else {"layer norm"})
    # The map's mean over the positions, divided by the deviation, is the logit without the bias of norm and classifier.
    deviation = (pooled.var(1, correction=0) + 1e-5).sqrt() if centred else pooled.square().mean(1).sqrt()
    shift = getattr(layer, "bias", None)
    bias = fc(torch.zeros(CHANNELS) if shift is None else shift).double()
    logits = fc(layer(mean(features))).double()
    torch.testing.assert_close(pooled @ result.weight.T / deviation[:, None] + bias, logits, atol=1e-5, rtol=1e-5)


def test_a_vector_divided_by_its_length() -> None:
    result, _ = found(lambda x: fc(functional.normalize(mean(x))))
    torch.testing.assert_close(result.weight.float(), fc.weight)
    assert result.folded == ("a number an image",)


@pytest.mark.parametrize(
    ("pool", "name"),
    [
        (lambda x: x.amax((2, 3)), "max"),
        (lambda x: functional.adaptive_max_pool2d(x, 1).flatten(1), "max"),
        (lambda x: x.sum((2, 3)), "sum"),
        (lambda x: fastcam.tap(x, 0.1), "TAP(0.1)"),
    ],
)
def test_poolings(pool: Callable[[Tensor], Tensor], name: str) -> None:
    result, _ = found(lambda x: fc(pool(x)))
    assert result.pooling == name
    torch.testing.assert_close(result.weight.float(), fc.weight)


def test_class_maps_that_are_pooled_last() -> None:
    result, features = found(lambda x: conv(x).relu().mean((2, 3)))
    assert result.weight.equal(torch.eye(CLASSES, dtype=torch.float64))
    torch.testing.assert_close(result.features, conv(features).relu().flatten(2))


def test_tokens_and_channels_last() -> None:
    result, features = found(lambda x: fc(x.mean(1)), (2, 7, CHANNELS))
    assert result.features.equal(features.transpose(1, 2))
    result, features = found(lambda x: fc(x.mean((1, 2))), (2, 4, 6, CHANNELS))
    assert result.features.equal(features.permute(0, 3, 1, 2).flatten(2))
    result, features = found(lambda x: fc(x[:, 1:].mean(1)), (2, 7, CHANNELS))
    assert result.features.equal(features[:, 1:].transpose(1, 2))


wide = linear(CHANNELS * 24)
NOT_LINEAR = {
    "a hidden layer": (lambda x: second(hidden(mean(x)).relu()), "hidden layer"),
    "flattened": (lambda x: wide(x.flatten(1)), "flattened"),
    "class token": (lambda x: fc(x.flatten(2)[:, :, 0]), "class token"),
    "probabilities": (lambda x: fc(mean(x)).log_softmax(1), "returns a log-softmax and no logits"),
    "product with itself": (lambda x: fc(mean(x)) * hidden(mean(x))[:, :CLASSES], "product of two"),
    "two maps": (lambda x: fc(mean(x)) + fc(mean(x * x)), "several feature maps"),
    "two poolings": (lambda x: fc(mean(x)) + fc(x.amax((2, 3))), "several ways"),
    "a factor an image that may be negative": (lambda x: fc(mean(x) * mean(x)[:, :1]), "product of two"),
    "not finite": (lambda x: fc(mean(x)) / 0, "finite"),
    "nothing of the images": (lambda _: fc(torch.ones(3, CHANNELS)), "do not depend"),
    "the images themselves": (lambda x: x.flatten(1)[:, :CLASSES], "flattened"),
    "pooled to a grid": (lambda x: linear(CHANNELS * 4)(functional.adaptive_avg_pool2d(x, 2).flatten(1)), "flattened"),
}


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_what_is_not_linear_is_said(name: str) -> None:
    head, reason = NOT_LINEAR[name]
    with pytest.raises(NoLinearMapError, match=reason):
        found(head)


def test_what_the_trace_cannot_see_is_not_believed() -> None:
    class Hidden(torch.autograd.Function):
        @staticmethod
        def forward(_: object, x: Tensor) -> Tensor:
            return torch.from_numpy(x.numpy() ** 2)

    with pytest.raises(NoLinearMapError):
        found(lambda x: fc(Hidden.apply(mean(x))))


def test_logits_that_are_not_finite_are_named() -> None:
    head = nn.Linear(8, 3)
    images = torch.full((1, 8, 5, 5), torch.nan)
    with torch.no_grad(), Trace(images) as trace:
        logits = head((images * 2).mean((2, 3)).reshape(1, 2, 4).reshape(1, 8))
    with pytest.raises(NoLinearMapError, match="the logits are not finite"):
        linear_map(trace, logits)


@pytest.mark.parametrize("pooled", [torch.mean, torch.sum])
def test_heads_that_are_stacked(pooled: Callable[..., Tensor]) -> None:
    torch.manual_seed(0)
    first, second = nn.Linear(8, 3), nn.Linear(8, 3)
    images = torch.rand(2, 8, 5, 5)
    with torch.no_grad(), Trace(images) as trace:
        values = (images * 2).mean((2, 3))
        logits = pooled(torch.stack([first(values), second(values), torch.ones(2, 3)]), 0)
    found = linear_map(trace, logits)
    expected = (first.weight + second.weight).double() / (3 if pooled is torch.mean else 1)
    torch.testing.assert_close(found.weight, expected)
    assert found.folded == ("sum of heads", "linear layers")


def test_stacked_heads_of_several_maps_are_said() -> None:
    head = nn.Linear(8, 3)
    images = torch.rand(2, 8, 5, 5)
    with torch.no_grad(), Trace(images) as trace:
        logits = torch.stack([head((images * 2).mean((2, 3))), head((images * 3).mean((2, 3)))]).mean(0)
    with pytest.raises(NoLinearMapError, match="several feature maps are pooled"):
        linear_map(trace, logits)


class Select(nn.Module):
    """One position of (N, C, L)."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[:, :, 0]


class Attend(nn.Module):
    """A query of its own that attends to the positions."""

    def forward(self, maps: Tensor) -> Tensor:
        tokens = maps.flatten(2).transpose(1, 2)
        return torch.bmm(torch.bmm(tokens[:, :1] * 0 + 1, tokens.transpose(1, 2)).softmax(2), tokens)[:, 0]


@pytest.mark.parametrize(
    ("middle", "reason"),
    [
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), "between the pooled features and the logits"),
        (nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 8)), "between the pooled features"),
        (nn.Sequential(nn.Flatten(), nn.Linear(8 * 16, 8)), "between the flattened feature maps and the logits"),
        (Attend(), "between what attention pools and the logits"),
        (nn.Sequential(nn.Flatten(2), nn.Linear(16, 16), Select()), "between a class token and the logits"),
    ],
)
def test_what_a_hidden_layer_works_on_is_said(middle: nn.Module, reason: str) -> None:
    torch.manual_seed(0)
    hidden = nn.Sequential(nn.Linear(8, 16), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(16, 16), nn.GELU())
    model = nn.Sequential(nn.Conv2d(3, 8, 8, 8), middle, hidden, nn.Linear(16, 4)).eval()
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad(), Trace(images) as trace:
        logits = model(images)
    with pytest.raises(NoLinearMapError, match=f"a hidden layer stands {reason}"):
        linear_map(trace, logits)


@pytest.mark.parametrize("choose", [lambda x: x[:, :1], lambda x: x.split([1, 16], 1)[0]])
def test_the_mean_of_a_class_token_is_that_token(choose: Callable[[Tensor], Tensor]) -> None:
    head = nn.Linear(8, 3)
    images = torch.rand(1, 17, 8)
    with torch.no_grad(), Trace(images) as trace:
        logits = head(choose(images * 2).mean(1))
    with pytest.raises(NoLinearMapError, match=r"^the classifier sees one of the tokens"):
        linear_map(trace, logits)
