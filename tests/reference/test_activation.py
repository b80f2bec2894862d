"""The definition of the class activation map, against the paper's released code and PyTorch."""

from __future__ import annotations

import pytest
import torch

from fastcam.reference.activation import cam


@pytest.mark.parametrize(
    ("clamp", "wanted"), [(False, [-0.75, 0.3, 0.35, 0.45]), (True, [0.25, 0.3, 0.35, 0.45])], ids=["raw", "clamped"]
)
def test_first_row_of_the_released_code(clamp, wanted):
    features = torch.zeros(1, 4, 4, 4)
    features[0, 0, 0] = torch.tensor([0, 0.05, 0.1, 0.2])
    features[0, 1, 0, 0] = 2
    features[0, 3] = 1
    weight = torch.tensor([[1, -0.5, 2, 0.25], [-1, 0.5, 0.5, -0.25]])
    found = cam(features, weight, torch.tensor([0]), clamp)
    torch.testing.assert_close(found[0, 0], torch.tensor(wanted), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_map_is_the_weighted_sum_of_the_channels(dtype, clamp):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, 40, 5, 6, generator=generator).to(dtype)
    weight = torch.randn(7, 40, generator=generator).to(dtype)
    index = torch.tensor([[6, 0], [2, 2], [5, 1]])
    rows = weight.double()[index].clamp(min=0) if clamp else weight.double()[index]
    wanted = torch.einsum("ntc,nchw->nthw", rows, features.double())
    found = cam(features, weight, index, clamp)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-12 if dtype == torch.float64 else 1e-5)


def test_channels_are_added_from_the_first_to_the_last():
    values = torch.tensor([1e8, 1.0, -1e8, 1.0]).reshape(1, 4, 1, 1)
    assert cam(values, torch.ones(1, 4), None, False).item() == 1.0
