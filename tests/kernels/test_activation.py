"""The kernel of the weighted sum against the reference."""

from __future__ import annotations

import pytest
import torch
from cases import LAYOUTS
from fastcam.kernels import activation

from fastcam.reference import activation as reference


def made(n, channels, height, width, dtype, device):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(n, channels, height, width, generator=generator).to(dtype)
    weight = torch.randn(9, channels, generator=generator).to(dtype)
    weight[:, ::5] = 0
    return features.to(device), weight.to(device)


def assert_sums_as_reference(features, weight, index, clamp):
    wanted = reference.cam(features, weight, index, clamp)
    found = torch.full_like(wanted, 7)
    activation.cam(features, weight, index, clamp, found)
    # The terms in another order: errors grow with their sum, whatever cancels.
    scale = reference.cam(features.abs(), weight.abs(), index, False).nan_to_num(nan=0, posinf=0)
    assert torch.equal(found.isnan(), wanted.isnan())
    assert ((found - wanted).nan_to_num(nan=0).abs() <= 1e-6 * scale + 1e-30).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_every_layout_and_width(layout, clamp, dtype, device):
    for shape in ((3, 37, 7, 9), (1, 1, 1, 1), (2, 300, 14, 14), (2, 70, 20, 30)):
        features, weight = made(*shape, dtype, device)
        features = LAYOUTS[layout](features)
        n = shape[0]
        index = torch.arange(n, device=device) % 9
        assert_sums_as_reference(features, weight, index, clamp)
        assert_sums_as_reference(features, weight, torch.stack((index, 8 - index), 1), clamp)
        assert_sums_as_reference(features, weight[:n], None, clamp)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_channel_of_weight_zero_is_not_read(value, layout, device):
    features, weight = made(2, 70, 5, 5, torch.float32, device)
    features = LAYOUTS[layout](features)
    features[:, ::5] = value
    found = torch.empty(2, 5, 5, device=device)
    activation.cam(features, weight, torch.tensor([1, 2], device=device), False, found)
    assert found.isfinite().all()
    weight[1, 3] = torch.nan  # but a weight that is no number is one
    activation.cam(features, weight, torch.tensor([1, 2], device=device), True, found)
    assert found[0].isnan().all()
    assert found[1].isfinite().all()


@pytest.mark.parametrize("index", [[9, 0], [-1, 0], [2**40, 0], [-(2**63), 2**63 - 1]], ids=str)
def test_an_index_out_of_range_gives_nan(index, device):
    features, weight = made(2, 6, 3, 3, torch.float32, device)
    found = torch.empty(2, 3, 3, device=device)
    activation.cam(features, weight, torch.tensor(index, device=device), True, found)
    assert found[0].isnan().all()
    assert found[1].isnan().all() == (index[1] != 0)


def test_the_batch_size_changes_nothing(device):
    features, weight = made(5, 130, 14, 14, torch.float32, device)
    index = torch.arange(5, device=device)
    together, alone = torch.empty(2, 5, 14, 14, device=device)
    activation.cam(features, weight, index, True, together)
    for i in range(5):
        activation.cam(features[i : i + 1], weight, index[i : i + 1], True, alone[i : i + 1])
    assert torch.equal(together, alone)
