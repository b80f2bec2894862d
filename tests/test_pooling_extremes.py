"""Poolings of numbers near the ends of their range: right in NumPy's extended precision, or by the limit they have."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cases import LAYOUTS

import fastcam
from fastcam.pooling import gap, gmp, lse

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def planes(dtype):
    """Channels (C, 4, 5) whose sums or differences overflow."""
    top = torch.finfo(dtype).max
    fractions = torch.tensor(
        [
            [1.0] * 20,
            [0.5] * 20,
            [-1.0] * 20,
            [1.0, -1.0] * 10,
            [1.0] + [0.0] * 19,
            [1.0] + [-1.0] * 19,
            [(i + 1) / 20 for i in range(20)],
            [-(i + 1) / 20 for i in range(20)],
        ],
        dtype=torch.float64,
    )
    return (fractions * top).to(dtype).reshape(1, -1, 4, 5)


def exact(x, definition):
    wide = x.double().numpy().astype(np.longdouble)
    return np.array([[definition(plane) for plane in image] for image in wide])


def check(found, wanted, dtype, scale):
    assert found.isfinite().all()
    error = np.abs(found.double().numpy().astype(np.longdouble) - wanted)
    assert (error <= 16 * torch.finfo(dtype).eps * scale).all(), error


def tap_of(plane, threshold=0.1):
    kept = plane[plane > np.longdouble(np.float32(threshold)) * plane.max()]
    return kept.mean() if kept.size else 0


def lse_of(plane, r):
    top = plane.max()
    return top + np.log1p(np.expm1(np.longdouble(r) * (plane - top)).mean()) / np.longdouble(r)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_means_of_large_numbers_are_finite(dtype, layout):
    x = LAYOUTS[layout](planes(dtype)).requires_grad_()
    scale = np.longdouble(torch.finfo(dtype).max)
    for pool, definition in ((lambda v: fastcam.tap(v, 0.1), tap_of), (gmp, np.max)):
        found = pool(x)
        check(found.detach(), exact(x.detach(), definition), dtype, scale)
        (gradient,) = torch.autograd.grad(found.sum(), x)
        shares = gradient.double().sum((2, 3))
        wanted = exact(x.detach(), lambda plane: float((plane > 0).any())) if definition is tap_of else np.ones((1, 8))
        np.testing.assert_allclose(shares.numpy(), wanted.astype(float), rtol=1e-2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gap_is_pytorch_s_mean_which_overflows_where_its_sum_does(dtype):
    x = planes(dtype)
    torch.testing.assert_close(gap(x), x.mean((2, 3)), rtol=0, atol=0, equal_nan=True)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of what PyTorch loads for forward mode
def test_large_channels_side_by_side_are_those_alone():
    x = planes(torch.float32).repeat(1, 5, 1, 1)
    last = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(fastcam.tap(x, 0.1), fastcam.tap(last, 0.1))
    value, tangent = torch.func.jvp(lambda v: fastcam.tap(v, 0.1), (x,), (x / 64,))
    torch.testing.assert_close(value, fastcam.tap(x, 0.1))
    torch.testing.assert_close(tangent * 64, fastcam.tap(x, 0.1))


@pytest.mark.parametrize("r", [1e-300, 1e-45, 1e-30, 1e-3, 0.5, 5, 1e3, 1e30, 1e38, 1e300])
@pytest.mark.parametrize("dtype", DTYPES)
def test_lse_is_right_for_any_sharpness_and_size(dtype, r):
    normal = torch.randn(1, 4, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with np.errstate(all="ignore"):
        for x in (planes(dtype), normal.to(dtype), (normal + 1000).to(dtype), (normal * 1e4).to(dtype)):
            x = x.requires_grad_()
            found = lse(x, r)
            # Where both r and 1 / x are too small for float32, the value is not claimed; a number it is.
            assert found.isfinite().all()
            if dtype == torch.float16 or x.abs().max() < 1e30 or r > 1e-31:
                wide = x.detach().double().abs().amax().item()
                check(found.detach(), exact(x.detach(), lambda plane: lse_of(plane, r)), dtype, np.longdouble(wide))
            (gradient,) = torch.autograd.grad(found.sum(), x)
            assert gradient.isfinite().all()
            torch.testing.assert_close(
                gradient.double().sum((2, 3)), torch.ones(x.shape[:2]).double(), rtol=2e-2, atol=0
            )


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinities_and_nan_show(dtype):
    inf, nan = math.inf, math.nan
    x = torch.tensor([[1.0, inf], [inf, inf], [-inf, 1], [-inf, -inf], [nan, 1], [inf, nan]], dtype=dtype)
    x = x.reshape(1, 6, 1, 2)
    wanted = {
        gap: [inf, inf, -inf, -inf, nan, nan],
        gmp: [inf, inf, 1, -inf, nan, nan],
        lambda v: fastcam.tap(v, 0.1): [inf, inf, 1, 0, nan, nan],
        lambda v: lse(v, 5): [inf, inf, 1 - math.log(2) / 5, -inf, nan, nan],
    }
    for pool, values in wanted.items():
        torch.testing.assert_close(pool(x), torch.tensor([values], dtype=dtype), equal_nan=True)
    y = x[:, :3].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(lse(y).sum(), y)
    assert gradient.flatten(1).tolist() == [[0, 1, 0.5, 0.5, 0, 1]]


@pytest.mark.parametrize("shape", [(0, 3, 2, 2), (2, 0, 2, 2)], ids=str)
def test_nothing_pools_to_nothing(shape):
    for pool in (gap, gmp, lse, lambda v: fastcam.tap(v, 0.1)):
        assert pool(torch.ones(shape)).shape == shape[:2]


def test_second_derivatives_of_lse():
    x = torch.randn(1, 2, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    for r in (1e-3, 1.0, 20.0):
        assert torch.autograd.gradcheck(lambda v, r=r: lse(v, r), x)
        assert torch.autograd.gradgradcheck(lambda v, r=r: lse(v, r), x)
