"""The definition of the normalizations."""

from __future__ import annotations

import pytest
import torch

from fastcam.reference.normalization import normalize
from fastcam.reference.percentile import percentile

RAMP = torch.tensor([[[-1.0, 0, 1, 2], [3, 4, 5, 10]]])


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("none", [-1, 0, 1, 2, 3, 4, 5, 10]),
        ("minmax", [k / 11 for k in (0, 1, 2, 3, 4, 5, 6, 11)]),
        ("max", [0, 0, 0.1, 0.2, 0.3, 0.4, 0.5, 1]),
        ("percentile", [0, 0, 1 / 6.5, 2 / 6.5, 3 / 6.5, 4 / 6.5, 5 / 6.5, 1]),
    ],
)
def test_normalization_of_a_ramp(how, wanted):
    assert percentile(RAMP, 90).item() == 6.5
    assert percentile(RAMP, 80).item() == pytest.approx(4.6)
    assert normalize(RAMP, how, 90).flatten().tolist() == pytest.approx(wanted, abs=1e-15)


@pytest.mark.parametrize("how", ["minmax", "max", "percentile"])
@pytest.mark.parametrize(
    "one",
    [[0.0, 0.0, 0.0], [1.0, torch.nan, 0.0], [1.0, torch.inf, 0.0], [1.0, -torch.inf, 0.0], [torch.nan] * 3],
    ids=str,
)
def test_an_undefined_normalization_gives_zeros(one, how):
    assert normalize(torch.tensor([[one]]), how, 90).count_nonzero() == 0


@pytest.mark.parametrize(("how", "value"), [("minmax", 2.0), ("max", -2.0), ("percentile", -2.0)])
def test_a_map_without_a_reference_becomes_zeros(how, value):
    assert normalize(torch.full((1, 3, 3), value), how, 90).count_nonzero() == 0
