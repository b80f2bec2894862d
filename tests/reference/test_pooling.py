"""The definition of thresholded average pooling, against published numbers and a loop in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cases import DTYPES, POOLING_SIZES, POOLING_THRESHOLDS, pooling_channels, pooling_input
from torch import Tensor

from fastcam.reference.pooling import tap_backward, tap_forward

# The paper's released code (won-bae/rethinkingCAM @625dc28), run on these features and this classifier.
FEATURES = torch.zeros(1, 4, 4, 4)
FEATURES[0, 0] = torch.tensor([[0, 0.05, 0.1, 0.2], [0.5, 1, 0.09, 0.1001], [0, 0, 0, 0], [0, 0, 0, 0.3]])
FEATURES[0, 1, 0, 0] = 2
FEATURES[0, 3] = 1
WEIGHT = torch.tensor([[1, -0.5, 2, 0.25], [-1, 0.5, 0.5, -0.25]])
BIAS = torch.tensor([0.1, -0.2])


@pytest.mark.parametrize(
    ("threshold", "pooled", "logits", "clamped"),
    [
        (0.0, [0.2925125, 2, 0, 1], [-0.357488, 0.257487], [0.642512, 0.8]),
        (0.1, [0.42002, 2, 0, 1], [-0.22998, 0.12998], [0.77002, 0.8]),
        (0.5, [1, 2, 0, 1], [0.35, -0.45], [1.35, 0.8]),
    ],
)
def test_values_of_the_released_code(threshold, pooled, logits, clamped):
    found = tap_forward(FEATURES, threshold)[0]
    torch.testing.assert_close(found, torch.tensor([pooled], dtype=torch.float32), rtol=1e-6, atol=1e-6)
    for weight, wanted in ((WEIGHT, logits), (WEIGHT.clamp(min=0), clamped)):
        torch.testing.assert_close(found[0] @ weight.T + BIAS, torch.tensor(wanted), rtol=2e-6, atol=2e-6)


def test_gradient_of_the_released_code():
    _, cutoff, count = tap_forward(FEATURES, 0.1)
    wanted = torch.zeros(1, 4, 4, 4)
    for i, j in [(0, 3), (1, 0), (1, 1), (1, 3), (3, 3)]:
        wanted[0, 0, i, j] = 0.2
    wanted[0, 1, 0, 0] = -0.5
    wanted[0, 3] = 0.25 / 16
    assert torch.equal(tap_backward(WEIGHT[:1], FEATURES, cutoff, count), wanted)


def test_a_value_equal_to_the_threshold_is_not_kept():
    values = torch.tensor([[[[1.0, 0.5, 0.25]]]])
    assert tap_forward(values, 0.5)[2].item() == 1
    assert tap_forward(values, 0.49)[2].item() == 2


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.3, 0.9])
def test_a_negative_channel_pools_to_zero(threshold):
    assert tap_forward(torch.tensor([[[[-1.0, -2.0], [-3.0, -4.0]]]]), threshold)[0].item() == 0


@pytest.mark.parametrize(("threshold", "wanted"), [(0.0, 2.6 / 3), (0.1, 1.25), (0.3, 2.0)])
def test_negative_values_are_not_kept(threshold, wanted):
    values = torch.tensor([[[[-1.0, 2.0], [0.5, 0.1]]]])
    assert tap_forward(values, threshold)[0].item() == pytest.approx(wanted, rel=1e-6)


def _pooled_by_loop(channel: Tensor, threshold: float) -> tuple[float, int]:
    work = np.float64 if channel.dtype == torch.float64 else np.float32
    values = channel.to(torch.float64).flatten().tolist()
    if any(map(math.isnan, values)):
        return math.nan, 0
    if max(values) == math.inf:
        return math.inf, sum(value == math.inf for value in values)
    with np.errstate(invalid="ignore"):  # 0 times -inf
        cutoff = float(work(threshold) * work(max(values)))
    kept = [value for value in values if value > cutoff]
    return (math.fsum(kept) / len(kept) if kept else 0.0), len(kept)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threshold", POOLING_THRESHOLDS)
@pytest.mark.parametrize("size", POOLING_SIZES)
def test_every_channel_is_what_a_loop_over_its_values_gives(size, threshold, dtype):
    x = pooling_input(*size, dtype)
    pooled, _, count = tap_forward(x, threshold)
    assert pooled.dtype == dtype
    wanted = [[_pooled_by_loop(channel, threshold) for channel in image] for image in x]
    assert count.tolist() == [[kept for _, kept in image] for image in wanted]
    means = torch.tensor([[mean for mean, _ in image] for image in wanted], dtype=torch.float64)
    # A sum of denormal float32 numbers is exact only to their spacing.
    precision = {"rtol": 4 * torch.finfo(dtype).eps, "atol": 1e-44 if dtype != torch.float64 else 0}
    torch.testing.assert_close(pooled.double(), means.to(dtype).double(), **precision, equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threshold", POOLING_THRESHOLDS)
def test_the_gradient_is_an_even_share_where_kept_and_nan_where_undefined(threshold, dtype):
    x = pooling_input(5, 7, dtype)
    pooled, cutoff, count = tap_forward(x, threshold)
    grad = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    dx = tap_backward(grad, x, cutoff, count)
    assert dx.dtype == dtype
    for i, k in np.ndindex(*pooled.shape):
        share = grad[i, k].to(cutoff.dtype) / max(count[i, k].item(), 1)
        wanted = torch.where(x[i, k].to(cutoff.dtype) > cutoff[i, k], share, 0).to(dtype)
        if x[i, k].isnan().any():
            wanted = torch.full_like(x[i, k], torch.nan)
        torch.testing.assert_close(dx[i, k], wanted, rtol=0, atol=0, equal_nan=True)


def test_the_special_channels_pool_as_documented():
    names = list(pooling_channels(6, 6))
    pooled = dict(zip(names, tap_forward(pooling_input(6, 6)[:1], 0.1)[0][0].tolist(), strict=True))
    assert [pooled[name] for name in ("negative", "zero", "negative zero", "all minus infinity")] == [0] * 4
    assert pooled["constant"] == 0.75
    assert pooled["infinite"] == math.inf
    assert all(math.isnan(pooled[name]) for name in ("nan", "all nan", "nan and infinity"))
    assert math.isfinite(pooled["negative infinity"])
