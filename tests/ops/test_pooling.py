"""The pooling operators against the reference, and the promises that PyTorch's machinery relies on."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from cases import DTYPES, LAYOUTS, POOLING_SIZES, POOLING_THRESHOLDS, pooling_input
from hypothesis import given
from hypothesis import strategies as st

from fastcam.ops.pooling import tap, tap_forward
from fastcam.reference import pooling as reference

tap_backward = torch.ops.fastcam.tap_backward.default
tap_keeping, tap_spread = torch.ops.fastcam.tap_keeping.default, torch.ops.fastcam.tap_spread.default

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def test_an_output_left_unwritten_would_show():
    x = torch.ones(2, 3, 4, 4)
    assert torch.empty_like(x).isnan().all()
    assert (x.new_empty((2, 3), dtype=torch.int32) != 16).all()


def assert_pools_as_reference(x, threshold):
    """Cutoff, count and gradient to the bit; the mean to the rounding of a sum in another order."""
    pooled, cutoff, count = tap_forward(x, threshold)
    wanted = reference.tap_forward(x, threshold)
    assert torch.equal(count, wanted[2])
    torch.testing.assert_close(cutoff, wanted[1], rtol=0, atol=0, equal_nan=True)
    assert pooled.dtype == x.dtype
    # The rounding of the result, and of the sum of up to a thousand positive numbers; denormals are 1e-45 apart.
    rtol = torch.finfo(x.dtype).eps + 16 * torch.finfo(cutoff.dtype).eps
    atol = 1e-44 if x.dtype != torch.float64 else 0
    torch.testing.assert_close(pooled.double(), wanted[0].double(), rtol=rtol, atol=atol, equal_nan=True)

    grad = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(x.dtype)
    dx = tap_backward(grad, x, cutoff, count)
    assert dx.dtype == x.dtype
    assert dx.stride() == torch.empty_like(x).stride()
    torch.testing.assert_close(dx, reference.tap_backward(grad, x, *wanted[1:]), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_special_channels(layout, dtype, instruction_set):  # noqa: ARG001
    for size, threshold in product(POOLING_SIZES, POOLING_THRESHOLDS):
        assert_pools_as_reference(LAYOUTS[layout](pooling_input(*size, dtype)), threshold)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_any_number_of_channels(layout, dtype, instruction_set):  # noqa: ARG001
    for channels in (1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64, 100):
        x = torch.randn(3, channels, 7, 5, generator=torch.Generator().manual_seed(channels)).to(dtype)
        assert_pools_as_reference(LAYOUTS[layout](x), 0.1)


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4, 4), (0, 0, 1, 1)], ids=str)
def test_nothing_to_pool(shape):
    x = torch.ones(shape)
    pooled, cutoff, count = tap_forward(x, 0.1)
    assert pooled.shape == cutoff.shape == count.shape == shape[:2]
    assert tap_backward(pooled, x, cutoff, count).shape == shape


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_the_number_of_threads_changes_nothing(layout, restored_threads):  # noqa: ARG001
    x = LAYOUTS[layout](torch.randn(16, 256, 14, 14, generator=torch.Generator().manual_seed(0)))
    results = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        out = tap_forward(x, 0.1)
        results.append((*out, tap_backward(out[0], x, *out[1:])))
    for result in results[1:]:
        assert all(map(torch.equal, results[0], result))


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_an_image_pools_alike_alone_and_in_a_batch(layout):
    x = LAYOUTS[layout](torch.randn(9, 40, 14, 14, generator=torch.Generator().manual_seed(0)))
    together = tap_forward(x, 0.1)[0]
    alone = torch.cat([tap_forward(x[i : i + 1], 0.1)[0] for i in range(9)])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_gradient_in_any_layout_is_read_right(layout):
    x = torch.randn(3, 10, 6, 6, generator=torch.Generator().manual_seed(0))
    pooled, cutoff, count = tap_forward(x, 0.1)
    wanted = tap_backward(pooled, x, cutoff, count)
    grad = LAYOUTS[layout](pooled[:, :, None, None])[:, :, 0, 0]
    assert torch.equal(tap_backward(grad, x, cutoff, count), wanted)


def test_a_gradient_that_is_one_number_expanded_is_read_right():
    # As of pooled.sum(). What makes it contiguous must live until the operator returns.
    x = torch.randn(3, 10, 6, 6, generator=torch.Generator().manual_seed(0))
    _, cutoff, count = tap_forward(x, 0.1)
    wanted = tap_backward(torch.ones(3, 10), x, cutoff, count)
    assert torch.equal(tap_backward(torch.ones(1, 1).expand(3, 10), x, cutoff, count), wanted)
    expanded = (part.t().contiguous().t() for part in (cutoff, count))
    assert torch.equal(tap_backward(torch.ones(3, 10), x, *expanded), wanted)


# The three kinds of memory: planes one after the other, channels side by side, and neither.
CHECKED = ["contiguous", "channels_last", "permuted", "every other"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", CHECKED)
def test_forward_keeps_what_it_promised_pytorch(layout, dtype):
    x = LAYOUTS[layout](torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).to(dtype))
    torch.library.opcheck(tap_forward, (x, 0.1))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", CHECKED)
def test_backward_keeps_what_it_promised_pytorch(layout, dtype):
    x = LAYOUTS[layout](torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).to(dtype))
    pooled, cutoff, count = tap_forward(x, 0.1)
    torch.library.opcheck(tap_backward, (pooled, x, cutoff, count))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_bits_give_the_gradient_of_the_values(layout, dtype):
    x = torch.randn(2, 5, 6, 7, generator=torch.Generator().manual_seed(0)).to(dtype)
    x[0, 1, 2, 3] = torch.nan
    x = LAYOUTS[layout](x)
    pooled, cutoff, count = reference.tap_forward(x, 0.1)
    again, divisor, kept = tap_keeping(x, 0.1)
    assert again.equal(pooled) or pooled.isnan().any()
    beside = layout == "channels_last"
    assert kept.shape == ((2, 8, 5) if beside else (2, 5, 8))
    for last, bits in ((beside, kept), (not beside, kept.transpose(1, 2))):
        dx = tap_spread(pooled, divisor, bits, 6, 7, last)
        assert dx.is_contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
        wanted = reference.tap_backward(pooled, x, cutoff, count)
        torch.testing.assert_close(dx, wanted, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("layout", CHECKED)
def test_the_operators_of_the_bits_keep_what_they_promised_pytorch(layout, dtype):
    x = LAYOUTS[layout](torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).to(dtype))
    torch.library.opcheck(tap, (x, 0.1))
    torch.library.opcheck(tap_keeping, (x, 0.1))
    pooled, divisor, kept = tap_keeping(x, 0.1)
    beside = layout == "channels_last"
    for last, bits in ((beside, kept), (not beside, kept.transpose(1, 2))):
        torch.library.opcheck(tap_spread, (pooled, divisor, bits, 4, 5, last))


special = st.sampled_from([torch.nan, torch.inf, -torch.inf, -0.0, 0.0, 1.0, -1.0, 0.1, 1e-40, 3e38])


@given(
    shape=st.tuples(*[st.integers(1, 3)] * 2, *[st.integers(1, 7)] * 2),
    layout=st.sampled_from(sorted(LAYOUTS)),
    threshold=st.floats(0, 1, exclude_max=True),
    values=st.lists(special | st.floats(-4, 4, width=32), min_size=1, max_size=12),
    dtype=st.sampled_from(DTYPES),
)
def test_any_shape_layout_and_values(shape, layout, threshold, values, dtype):
    count = torch.Size(shape).numel()
    x = torch.tensor((values * count)[:count], dtype=dtype).reshape(shape)
    assert_pools_as_reference(LAYOUTS[layout](x), threshold)
