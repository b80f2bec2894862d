"""The poolings that TAP is compared with, against their definitions."""

import itertools
import math

import numpy as np
import pytest
import torch
from cases import DTYPES, LAYOUTS

import fastcam
from fastcam.pooling import GAP, GMP, LSE, gap, gmp, lse

ALL = {"gap": (gap, GAP()), "gmp": (gmp, GMP()), "lse": (lse, LSE()), "lse, r=0.5": (lambda x: lse(x, 0.5), LSE(0.5))}
DEFINITIONS = {
    "gap": lambda plane: plane.mean(),
    "gmp": lambda plane: plane.max(),
    "lse": lambda plane: np.log(np.mean(np.exp(5.0 * plane))) / 5.0,
    "lse, r=0.5": lambda plane: np.log(np.mean(np.exp(0.5 * plane))) / 0.5,
}


def randn(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_function_and_module_are_the_definition(name, dtype, layout):
    function, module = ALL[name]
    x = LAYOUTS[layout](randn(2, 5, 7, 6, dtype=dtype))
    expected = [[DEFINITIONS[name](plane) for plane in image] for image in x.double().numpy()]
    found = function(x)
    assert (found.shape, found.dtype) == ((2, 5), dtype)
    tolerance = 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(
        found.double(), torch.tensor(expected, dtype=torch.float64), rtol=tolerance, atol=tolerance
    )
    assert torch.equal(module(x), found)


@pytest.mark.parametrize("name", ["gap", "gmp", "lse"])
def test_keepdim(name):
    function, module = ALL[name]
    x = randn(2, 3, 4, 5)
    assert torch.equal(function(x, keepdim=True), function(x)[:, :, None, None])
    assert type(module)(keepdim=True)(x).shape == (2, 3, 1, 1)


@pytest.mark.parametrize("name", ALL)
def test_gradcheck(name):
    assert torch.autograd.gradcheck(ALL[name][0], randn(2, 3, 4, 5, dtype=torch.float64).requires_grad_())


def test_the_gradient_of_the_maximum_is_shared_by_ties():
    x = torch.tensor([[[[1.0, 3.0], [3.0, 0.0]]]], requires_grad=True)
    gmp(x).sum().backward()
    assert x.grad.tolist() == [[[[0, 0.5], [0.5, 0]]]]


def test_lse_lies_between_the_mean_and_the_maximum_and_tap_between_them_too():
    x = randn(2, 3, 6, 6).relu()
    values = [gap(x), lse(x, 0.1), lse(x, 1), lse(x, 10), lse(x, 1000), gmp(x)]
    for low, high in itertools.pairwise(values):
        assert (low <= high + 1e-6).all()
    torch.testing.assert_close(lse(x, 1e4), gmp(x), rtol=1e-3, atol=0)
    torch.testing.assert_close(lse(x, 1e-3), gap(x), rtol=1e-2, atol=0)
    assert (gap(x) <= fastcam.tap(x, 0.0)).all()
    assert (fastcam.tap(x, 0.0) <= gmp(x)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_lse_does_not_overflow(dtype):
    x = torch.tensor([[[[100.0, 90.0], [0.0, -1000.0]]]], dtype=dtype)
    expected = 100 - math.log(4) / 5
    assert float(lse(x)) == pytest.approx(expected, rel=4 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("name", ["gap", "gmp", "lse"])
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.zeros(2, 3), ValueError, r"x must be \(N, C, H, W\) with H and W at least 1, got shape \(2, 3\)"),
        (torch.zeros(2, 3, 0, 4), ValueError, r"got shape \(2, 3, 0, 4\)"),
        (torch.zeros(1, 1, 1, 1, dtype=torch.int64), TypeError, "x must be a tensor of float16, .* torch.int64"),
        ([1.0], TypeError, "x must be a tensor of float16, .* list"),
    ],
)
def test_a_bad_input_is_named(name, x, error, message):
    with pytest.raises(error, match=message):
        ALL[name][0](x)


@pytest.mark.parametrize(
    ("r", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (math.inf, ValueError),
        (math.nan, ValueError),
        ("5", TypeError),
        (True, TypeError),
    ],
)
def test_a_bad_sharpness_is_named(r, error):
    with pytest.raises(error, match="r must be"):
        lse(torch.zeros(1, 1, 2, 2), r)
    with pytest.raises(error, match="r must be"):
        LSE(r)


def test_the_modules_say_what_they_are():
    assert [repr(one) for one in (GAP(), GMP(keepdim=True), LSE(r=2))] == [
        "GAP(keepdim=False)",
        "GMP(keepdim=True)",
        "LSE(r=2.0, keepdim=False)",
    ]
    assert all(not one.state_dict() for one in (GAP(), GMP(), LSE()))
