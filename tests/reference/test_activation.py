"""The definitions of map, resize, percentile, normalization and threshold, against NumPy, PyTorch and OpenCV."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import PERCENTILES, RESIZES, heat_maps, score_map
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from fastcam.reference.activation import cam, kept, normalize, percentile, resize

INTERPOLATIONS = ["bilinear", "bicubic"]


def stacked(shape, seed=0):
    return torch.stack(list(heat_maps(*shape, seed).values()))


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


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(("source", "size"), RESIZES, ids=str)
def test_resize_agrees_with_pytorch(source, size, interpolation):
    maps = stacked(source)
    # In float32 PyTorch places the samples in float32 too, and is off by 4e-6 of the range itself.
    wanted = torch.nn.functional.interpolate(maps[:, None].double(), size, mode=interpolation, align_corners=False)
    error = (resize(maps, size, interpolation) - wanted[:, 0]).abs().amax(dim=(1, 2))
    assert (error <= 1e-6 * maps.abs().amax(dim=(1, 2)).clamp(min=1e-37)).all()


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(("source", "size"), RESIZES, ids=str)
def test_resize_agrees_with_opencv(source, size, interpolation):
    cv2 = pytest.importorskip("cv2")
    flag = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}[interpolation]
    maps = stacked(source)
    for found, one in zip(resize(maps, size, interpolation), maps, strict=True):
        wanted = cv2.resize(one.numpy(), size[::-1], interpolation=flag).reshape(size)
        assert np.abs(found.numpy() - wanted).max() <= 3e-6 * max(one.abs().max().item(), 1e-38)


@pytest.mark.parametrize("name", "ABCD")
def test_the_score_maps_resize_as_in_opencv(name):
    cv2 = pytest.importorskip("cv2")
    one = score_map(name)
    for interpolation, flag in (("bilinear", cv2.INTER_LINEAR), ("bicubic", cv2.INTER_CUBIC)):
        wanted = cv2.resize(one.numpy(), (224, 224), interpolation=flag)
        found = resize(one[None], (224, 224), interpolation)[0].numpy()
        assert np.abs(found - wanted).max() <= 3e-6 * float(one.max() - one.min())


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_a_map_of_the_wanted_size_is_not_touched(interpolation):
    maps = stacked((5, 4))
    assert torch.equal(resize(maps, (5, 4), interpolation), maps)


finite = st.floats(-(2.0**100), 2.0**100, width=32)


@given(
    npst.arrays(np.float32, npst.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=finite),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_bilinear_values_stay_between_the_smallest_and_the_largest(one, height, width):
    found = resize(torch.from_numpy(one)[None], (height, width), "bilinear")
    assert found.min() >= one.min()
    assert found.max() <= one.max()


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
    npst.arrays(np.uint8, npst.array_shapes(min_dims=2, max_dims=2, max_side=12)),
    st.floats(0, 100) | st.integers(80, 100),
)
def test_percentile_of_levels_is_numpys_bit_for_bit(one, q):
    assert percentile(torch.from_numpy(one)[None], q)[0].item() == np.percentile(one, q)


@pytest.mark.parametrize("q", PERCENTILES)
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (5, 7), (14, 14), (64, 64)], ids=str)
def test_percentile_of_many_maps_is_numpys_bit_for_bit(size, q):
    maps = torch.cat([stacked(size, seed) for seed in range(20)])
    wanted = np.array([np.percentile(one, q) for one in maps.numpy()])
    np.testing.assert_array_equal(percentile(maps, q).numpy(), wanted)


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


def test_levels_are_truncated_and_so_is_their_threshold():
    maps = torch.tensor([[[0.0, 0.1, 0.499, 1.0]]])
    full, threshold, mask = kept(
        maps, (1, 4), interpolation="bilinear", normalization="none", quantize=True, q=100, threshold=0.1
    )
    assert full.tolist() == [[[0, 25, 127, 255]]]
    assert threshold.item() == 25
    assert mask.tolist() == [[[False, False, True, True]]]


def test_a_value_equal_to_the_threshold_is_not_kept():
    maps = torch.tensor([[[0.5, 0.25, 1.0]]])
    options = {"interpolation": "bilinear", "normalization": "none", "quantize": False, "q": 100}
    assert kept(maps, (1, 3), **options, threshold=0.5)[2].tolist() == [[[False, False, True]]]


def test_a_negative_reference_is_taken_literally():
    maps = torch.tensor([[[-4.0, -2.0, -1.0]]])
    options = {"interpolation": "bilinear", "normalization": "none", "quantize": False, "q": 100}
    found = kept(maps, (1, 3), **options, threshold=0.5)
    assert found[1].item() == -0.5
    assert found[2].sum() == 0
