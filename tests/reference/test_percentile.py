"""The definition of the percentile, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import PERCENTILES, heat_maps
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from fastcam.reference.percentile import percentile

numbers = st.floats(width=32, allow_nan=True, allow_infinity=True)


@given(
    npst.arrays(np.float32, npst.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=numbers),
    st.floats(0, 100) | st.integers(80, 100),
)
def test_percentile_is_numpys_bit_for_bit(one, q):
    with np.errstate(all="ignore"):
        wanted = np.percentile(one, q)
    np.testing.assert_array_equal(percentile(torch.from_numpy(one)[None], q)[0].numpy(), wanted)


@given(
    npst.arrays(np.float64, npst.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.floats()),
    st.floats(0, 100) | st.integers(80, 100),
)
def test_percentile_of_float64_is_numpys_bit_for_bit(one, q):
    with np.errstate(all="ignore"):
        wanted = np.percentile(one, q)
    found = percentile(torch.from_numpy(one)[None], q)[0].numpy()
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == np.float64


@given(
    npst.arrays(np.uint8, npst.array_shapes(min_dims=2, max_dims=2, max_side=12)),
    st.floats(0, 100) | st.integers(80, 100),
)
def test_percentile_of_levels_is_numpys_bit_for_bit(one, q):
    assert percentile(torch.from_numpy(one)[None], q)[0].item() == np.percentile(one, q)


@pytest.mark.parametrize("q", PERCENTILES)
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (5, 7), (14, 14), (64, 64)], ids=str)
def test_percentile_of_many_maps_is_numpys_bit_for_bit(size, q):
    maps = torch.stack([one for seed in range(20) for one in heat_maps(*size, seed).values()])
    wanted = np.array([np.percentile(one, q) for one in maps.numpy()])
    np.testing.assert_array_equal(percentile(maps, q).numpy(), wanted)
