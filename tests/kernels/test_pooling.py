"""The pooling kernels against the reference."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from cases import LAYOUTS, pooling_input
from fastcam.kernels import pooling as kernel

from fastcam.reference import pooling as reference

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
SIZES = [(1, 1), (7, 7), (14, 14), (1, 9), (5, 3), (33, 31)]


def made(height, width, dtype, device):
    x = pooling_input(height, width, dtype)
    if dtype == torch.bfloat16 and device.type == "cpu":
        x = x.masked_fill(x.abs() < 1e-37, 0)  # the interpreter widens denormal bfloat16 wrongly
    return x.to(device)


def poisoned(shape, dtype, device):
    fill = torch.nan if dtype.is_floating_point else torch.iinfo(dtype).max
    return torch.full(shape, fill, dtype=dtype, device=device)


def assert_pools_as_reference(x, threshold):
    n, c, h, w = x.shape
    wanted, cutoff, count = reference.tap_forward(x, threshold)
    _, wanted_divisor, wanted_kept = reference.tap_keeping(x, threshold)
    pooled = poisoned((n, c), x.dtype, x.device)
    kernel.forward(x, threshold, pooled)
    again, divisor = torch.empty_like(pooled), poisoned((n, c), torch.float32, x.device)
    kept = poisoned(wanted_kept.shape, torch.uint8, x.device)
    kernel.forward(x, threshold, again, divisor, kept)
    torch.testing.assert_close(again, pooled, rtol=0, atol=0, equal_nan=True)

    # One unit in the last place, of the sum in another order; the interpreter truncates to bfloat16.
    eps = torch.finfo(x.dtype).eps * (2 if x.dtype == torch.bfloat16 else 1)
    torch.testing.assert_close(
        pooled.double(), wanted.double(), rtol=eps + 16 * torch.finfo(torch.float32).eps, atol=1e-44, equal_nan=True
    )
    torch.testing.assert_close(divisor, wanted_divisor, rtol=0, atol=0, equal_nan=True)
    # The bits, but for those of a channel with a NaN, which are not looked at.
    last = not x.is_contiguous()
    ones = torch.ones((n, c), device=x.device)
    found, expected = (reference.tap_spread(ones, divisor, bits, h, w, last) for bits in (kept, wanted_kept))
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)

    grad = torch.randn((n, c), generator=torch.Generator().manual_seed(0)).to(x.device, x.dtype)
    dx = torch.full_like(x, torch.nan)
    kernel.backward(grad, divisor, kept, dx)
    torch.testing.assert_close(
        dx.double(),
        reference.tap_backward(grad, x, cutoff, count).double(),
        rtol=eps + 2 * torch.finfo(torch.float32).eps,
        atol=1e-7 if x.dtype == torch.float16 else 0,
        equal_nan=True,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_special_channels(size, layout, dtype, device):
    for threshold in (0.0, 0.1, 0.999) if dtype == torch.float32 else (0.1,):
        assert_pools_as_reference(LAYOUTS[layout](made(*size, dtype, device)), threshold)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_more_positions_than_registers_hold(layout, device):
    # 129 x 130 positions are beyond both tables' bounds, 40 x 30 beyond that of channels_last.
    for size in ((129, 130), (40, 30)):
        assert_pools_as_reference(LAYOUTS[layout](made(*size, torch.float32, device)[:1]), 0.1)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("size", [(5, 3), (40, 30)], ids=str)
def test_distances_of_64_bits(size, layout, device, monkeypatch):
    monkeypatch.setattr(kernel, "_LARGE", 1)
    assert_pools_as_reference(LAYOUTS[layout](made(*size, torch.float32, device)[:1]), 0.1)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_any_number_of_channels_and_images(layout, device):
    for n, c in product((1, 3), (1, 15, 64, 65, 130)):
        x = torch.randn(n, c, 4, 5, generator=torch.Generator().manual_seed(c)).to(device)
        assert_pools_as_reference(LAYOUTS[layout](x), 0.1)


def test_a_run_is_like_another_and_an_image_like_itself_in_a_batch(device):
    x = torch.randn(5, 40, 7, 7, generator=torch.Generator().manual_seed(0)).to(device)
    runs = [torch.empty(5, 40, device=device) for _ in range(3)]
    for pooled in runs:
        kernel.forward(x, 0.1, pooled)
    alone = torch.empty(5, 40, device=device)
    for i in range(5):
        kernel.forward(x[i : i + 1], 0.1, alone[i : i + 1])
    assert all(torch.equal(pooled, runs[0]) for pooled in [*runs, alone])
