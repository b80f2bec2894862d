"""Thresholded average pooling as users meet it: the function, the module, gradients, compilation."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from cases import DTYPES, LAYOUTS, pooling_input
from torch import nn
from torch.utils.checkpoint import checkpoint

import fastcam
from fastcam.reference.pooling import tap_forward as reference


def randn(*shape, dtype=torch.float32, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_function_is_the_reference_with_or_without_gradient(layout, dtype):
    x = LAYOUTS[layout](randn(3, 20, 7, 5, dtype=dtype))
    wanted = reference(x, 0.1)[0]
    precision = {"rtol": 4 * torch.finfo(dtype).eps, "atol": 0}
    found = fastcam.tap(x, 0.1)
    assert (found.shape, found.dtype) == ((3, 20), dtype)
    torch.testing.assert_close(found, wanted, **precision)
    torch.testing.assert_close(fastcam.tap(x.clone().requires_grad_(), 0.1).detach(), wanted, **precision)
    with torch.no_grad():
        assert torch.equal(fastcam.tap(x.clone().requires_grad_(), 0.1), fastcam.tap(x.clone(), 0.1))


def test_keepdim_keeps_the_two_dimensions():
    x = randn(2, 3, 4, 5)
    assert torch.equal(fastcam.tap(x, 0.1, keepdim=True), fastcam.tap(x, 0.1)[:, :, None, None])
    assert fastcam.TAP(0.1, keepdim=True)(x).shape == (2, 3, 1, 1)
    assert fastcam.TAP(0.1)(x).shape == (2, 3)


def test_threshold_zero_is_the_mean_of_the_positive_values_and_not_of_all():
    x = randn(2, 3, 6, 6)
    means = [[channel[channel > 0].mean() for channel in image] for image in x]
    torch.testing.assert_close(fastcam.tap(x, 0), torch.tensor(means))
    assert not torch.allclose(fastcam.tap(x, 0), x.mean((2, 3)))


def test_nan_and_infinity_are_not_hidden():
    x = torch.ones(1, 3, 2, 2)
    x[0, 0, 1, 1], x[0, 1, 0, 0] = torch.nan, torch.inf
    x.requires_grad_()
    pooled = fastcam.tap(x, 0.1)
    assert pooled[0, 0].isnan()
    assert pooled[0, 1:].tolist() == [math.inf, 1]
    pooled.backward(torch.ones_like(pooled))
    assert x.grad[0, 0].isnan().all()
    assert x.grad[0, 1].tolist() == [[1, 0], [0, 0]]
    assert x.grad[0, 2].tolist() == [[0.25, 0.25], [0.25, 0.25]]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.7])
def test_gradcheck_away_from_the_threshold(threshold, layout):
    # Steps of 1e-6 must not carry a value over its threshold.
    x = (randn(2, 3, 4, 5, dtype=torch.float64) * 20).round() / 20 + 0.013
    x = LAYOUTS[layout](x).detach()
    assert ((x - threshold * x.amax((2, 3), keepdim=True)).abs() > 1e-4).all()
    # The definition takes the threshold for a constant, which numerical differences confirm.
    assert torch.autograd.gradcheck(lambda v: fastcam.tap(v, threshold), x.clone().requires_grad_())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduce", [torch.sum, torch.mean], ids=["sum", "mean"])
def test_the_gradient_of_a_plain_reduction_is_the_share_of_each_kept_value(reduce, dtype):
    # Their gradient is one number expanded, which owns no memory of the pooled shape.
    x = randn(4, 6, 5, 5, dtype=dtype).requires_grad_()
    reduce(fastcam.tap(x, 0.1)).backward()
    _, cutoff, count = reference(x.detach(), 0.1)
    one = torch.tensor(1.0 if reduce is torch.sum else 1 / 24, dtype=dtype).to(cutoff.dtype)
    share = (one / count.clamp(min=1))[:, :, None, None]
    wanted = torch.where(x.detach().to(cutoff.dtype) > cutoff[:, :, None, None], share, 0)
    torch.testing.assert_close(x.grad.double(), wanted.double(), rtol=torch.finfo(dtype).eps, atol=1e-7)


def test_the_gradient_keeps_the_layout_of_the_input():
    x = randn(2, 8, 6, 6).to(memory_format=torch.channels_last).requires_grad_()
    (grad,) = torch.autograd.grad(fastcam.tap(x, 0.1).square().sum(), x)
    assert grad.is_contiguous(memory_format=torch.channels_last)
    x = randn(2, 8, 6, 6).requires_grad_()
    (grad,) = torch.autograd.grad(fastcam.tap(x, 0.1).square().sum(), x)
    assert grad.is_contiguous()


def network(pool):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), pool, nn.Flatten(), nn.Linear(8, 4))


@pytest.mark.parametrize("keepdim", [False, True])
def test_it_takes_the_place_of_global_average_pooling(keepdim):
    x = randn(2, 3, 12, 12)
    plain, pooled = network(nn.AdaptiveAvgPool2d(1)), network(fastcam.TAP(0.1, keepdim=keepdim))
    assert plain.state_dict().keys() == pooled.state_dict().keys()
    pooled.load_state_dict(plain.state_dict())
    out = pooled(x)
    assert out.shape == (2, 4)
    features = pooled[1](pooled[0](x))
    torch.testing.assert_close(out, pooled[4](reference(features, 0.1)[0]))
    out.sum().backward()
    assert pooled[0].weight.grad.abs().sum() > 0


def test_the_module_says_what_it_is_and_keeps_no_state():
    module = fastcam.TAP(threshold=0.1)
    assert repr(module) == "TAP(threshold=0.1, keepdim=False)"
    assert dict(module.state_dict()) == {}
    again = pickle.loads(pickle.dumps(fastcam.TAP(0.25, keepdim=True)))
    assert (again.threshold, again.keepdim) == (0.25, True)


def test_under_autocast_bfloat16_comes_back_as_bfloat16():
    with torch.autocast("cpu", torch.bfloat16):
        features = nn.functional.conv2d(randn(2, 3, 8, 8), randn(5, 3, 3, 3))
        assert features.dtype == torch.bfloat16
        pooled = fastcam.tap(features, 0.1)
        assert pooled.dtype == torch.bfloat16
        assert torch.equal(pooled, reference(features, 0.1)[0])
        assert fastcam.tap(randn(2, 3, 4, 4), 0.1).dtype == torch.float32


def test_gradients_under_autocast_are_those_of_bfloat16():
    weight = randn(5, 3, 3, 3).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        features = nn.functional.conv2d(randn(2, 3, 8, 8), weight)
        features.retain_grad()
        fastcam.tap(features, 0.1).sum().backward()
    assert features.grad.dtype == torch.bfloat16
    assert weight.grad.dtype == torch.float32
    x = features.detach().requires_grad_()
    (wanted,) = torch.autograd.grad(fastcam.tap(x, 0.1).sum(), x)
    assert torch.equal(features.grad, wanted)


@pytest.mark.parametrize("reentrant", [False, True])
def test_activations_may_be_computed_anew_for_the_gradient(reentrant):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), fastcam.TAP(0.1), nn.Linear(8, 4))
    x = randn(2, 3, 10, 10).requires_grad_()
    leaves = [x, *model.parameters()]
    model(x).square().sum().backward()
    wanted = [leaf.grad.clone() for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    checkpoint(model, x, use_reentrant=reentrant).square().sum().backward()
    torch.testing.assert_close([leaf.grad for leaf in leaves], wanted)


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4, 4), (1, 1, 1, 1)], ids=str)
def test_shapes_at_the_edge(shape):
    x = torch.ones(shape, requires_grad=True)
    pooled = fastcam.tap(x, 0.1)
    assert pooled.shape == shape[:2]
    pooled.sum().backward()
    assert x.grad.shape == shape


# Dynamo instantiates the autograd function itself.
@pytest.mark.filterwarnings("ignore:.* should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_compiles_whole_and_gives_the_same(layout):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), fastcam.TAP(0.1), nn.Linear(8, 4))
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    for n in (2, 3):  # the second with a dynamic batch
        x = LAYOUTS[layout](randn(n, 3, 10, 10))
        torch.testing.assert_close(compiled(x), model(x))
        gradients = [torch.autograd.grad(run(x).square().sum(), list(model.parameters())) for run in (compiled, model)]
        torch.testing.assert_close(*gradients)


@pytest.mark.long
def test_compiles_by_inductor_in_a_process_of_its_own():
    program = (
        "import torch, fastcam\n"
        "x = torch.rand(2, 3, 6, 6) - 0.3\n"
        "found = torch.compile(lambda v: fastcam.tap(v.relu(), 0.1) * 2, fullgraph=True)(x)\n"
        "torch.testing.assert_close(found, fastcam.tap(x.relu(), 0.1) * 2)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_exports():
    model = network(fastcam.TAP(0.1)).eval()
    x = randn(2, 3, 12, 12)
    exported = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("n", min=1)},))
    assert torch.ops.fastcam.tap.default in [node.target for node in exported.graph.nodes]
    x = randn(5, 3, 12, 12, seed=1)
    torch.testing.assert_close(exported.module()(x), model(x))


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.ones(2, 3, 4), ValueError, r"x must be \(N, C, H, W\) .* got shape \(2, 3, 4\)"),
        (torch.ones(2, 3, 4, 5, 6), ValueError, r"x must be \(N, C, H, W\) .* got shape \(2, 3, 4, 5, 6\)"),
        (torch.ones(2, 3, 0, 4), ValueError, r"x must be .* H and W at least 1, got shape \(2, 3, 0, 4\)"),
        (torch.ones(2, 3, 4, 0), ValueError, r"x must be .* H and W at least 1, got shape \(2, 3, 4, 0\)"),
        (torch.ones(1, 1, 2, 2, dtype=torch.int64), TypeError, "x must be .* float64, got a tensor of torch.int64"),
        (torch.ones(1, 1, 2, 2, dtype=torch.complex64), TypeError, "x must be .* got a tensor of torch.complex64"),
        (np.ones((1, 1, 2, 2), np.float32), TypeError, "x must be a tensor of .* got ndarray"),
        (None, TypeError, "x must be a tensor of .* got NoneType"),
    ],
    ids=str,
)
def test_a_bad_input_is_named(x, error, message):
    with pytest.raises(error, match=message):
        fastcam.tap(x, 0.1)


@pytest.mark.parametrize(
    ("threshold", "error"),
    [
        *((outside, ValueError) for outside in (1, 1.0, -0.1, math.nan, math.inf)),
        *((other, TypeError) for other in ("0.1", None, True, torch.tensor(0.1))),
    ],
    ids=str,
)
def test_a_bad_threshold_is_named(threshold, error):
    for use in (lambda: fastcam.TAP(threshold), lambda: fastcam.tap(torch.ones(1, 1, 2, 2), threshold)):
        with pytest.raises(error, match=r"threshold must .*\[0, 1\), got "):
            use()


def test_a_threshold_of_numpy_is_a_number():
    assert fastcam.TAP(np.float32(0.5)).threshold == 0.5


def test_pooling_twice_gives_the_same_bits():
    x = pooling_input(13, 17)
    first, second = fastcam.tap(x, 0.1), fastcam.tap(x, 0.1)
    torch.testing.assert_close(first, second, rtol=0, atol=0, equal_nan=True)
