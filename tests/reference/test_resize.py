"""The definition of resizing, against PyTorch and OpenCV."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import RESIZES, heat_maps, score_map
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from fastcam.reference.resize import resize

INTERPOLATIONS = ["bilinear", "bicubic"]


def stacked(shape):
    return torch.stack(list(heat_maps(*shape).values()))


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


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(("source", "size"), RESIZES, ids=str)
def test_resize_of_float64_agrees_with_pytorch_to_its_rounding(source, size, interpolation):
    maps = stacked(source).double() * 1e100 + 1e90
    wanted = torch.nn.functional.interpolate(maps[:, None], size, mode=interpolation, align_corners=False)[:, 0]
    found = resize(maps, size, interpolation)
    assert found.dtype == torch.float64
    # A position among 28 pixels is itself rounded to 4e-15.
    assert ((found - wanted).abs().amax(dim=(1, 2)) <= 5e-14 * maps.abs().amax(dim=(1, 2))).all()


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
