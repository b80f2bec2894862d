"""The operator of the class activation map against the reference, bit for bit."""

from __future__ import annotations

import pytest
import torch
from cases import DTYPES, LAYOUTS
from hypothesis import given
from hypothesis import strategies as st

from fastcam.ops.activation import cam
from fastcam.reference import activation as reference

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def assert_same_bits(found, wanted):
    assert found.dtype == wanted.dtype
    torch.testing.assert_close(found, wanted, rtol=0, atol=0, equal_nan=True)


def made(n, channels, height, width, dtype=torch.float32, classes=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, channels, height, width, generator=generator).to(dtype)
    weight = torch.randn(classes, channels, generator=generator)
    weight[:, ::5] = 0
    return features, weight.to(dtype)


@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_and_width(layout, dtype, clamp, instruction_set):  # noqa: ARG001
    features, weight = made(3, 37, 7, 9, dtype)
    features = LAYOUTS[layout](features)
    for index in (
        torch.tensor([8, 0, 3]),
        torch.tensor([[1, 1], [0, 8], [4, 2]]),
        torch.zeros(3, 0, dtype=torch.int64),
    ):
        assert_same_bits(cam(features, weight, index, clamp), reference.cam(features, weight, index, clamp))
    assert_same_bits(cam(features, weight[:3], None, clamp), reference.cam(features, weight[:3], None, clamp))


SHAPES = [(1, 1), (1, 7), (7, 7), (14, 14), (28, 28), (15, 17), (3, 129)]


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("size", SHAPES, ids=str)
def test_any_number_of_channels_and_positions(size, layout, instruction_set):  # noqa: ARG001
    for channels in (1, 2, 3, 16, 63, 65, 300):
        features, weight = made(2, channels, *size)
        features = LAYOUTS[layout](features)
        index = torch.tensor([4, 0])
        assert_same_bits(cam(features, weight, index, True), reference.cam(features, weight, index, True))


@pytest.mark.parametrize("classes", [1, 2, 3, 5, 9, 30])
def test_any_number_of_classes_an_image(classes, instruction_set):  # noqa: ARG001
    features, weight = made(2, 24, 7, 7, classes=30)
    index = torch.stack((torch.arange(classes), torch.arange(classes).flip(0)))
    assert_same_bits(cam(features, weight, index, True), reference.cam(features, weight, index, True))


@pytest.mark.parametrize("weight_dtype", DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("images", [2, 12], ids=["fewer images than classes", "more"])
def test_features_and_weight_of_different_widths(images, dtype, weight_dtype):
    features, weight = made(images, 20, 4, 4, dtype)
    weight = weight.to(weight_dtype)
    index = torch.arange(images) % 9
    assert_same_bits(cam(features, weight, index, True), reference.cam(features, weight, index, True))


@pytest.mark.parametrize(
    "change", [lambda w: w.t().contiguous().t(), lambda w: w.repeat(1, 2)[:, :37], lambda w: w[::2]]
)
def test_weights_in_any_layout(change):
    features, weight = made(2, 37, 5, 5)
    weight, index = change(weight), torch.tensor([3, 1])
    assert_same_bits(cam(features, weight, index, False), reference.cam(features, weight, index, False))
    assert_same_bits(cam(features, weight[:2], None, False), reference.cam(features, weight[:2], None, False))


@pytest.mark.parametrize("index", [[9, 0], [-1, 0], [2**40, 0], [-(2**63), 2**63 - 1]], ids=str)
@pytest.mark.parametrize("weight_dtype", [torch.float32, torch.float16])
def test_an_index_out_of_range_reads_nothing_and_gives_nan(index, weight_dtype):
    features, weight = made(2, 6, 3, 3)
    weight, index = weight.to(weight_dtype), torch.tensor(index)
    found = cam(features, weight, index, True)
    assert found[0].isnan().all()
    assert_same_bits(found, reference.cam(features, weight, index, True))


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_channel_of_weight_zero_is_not_read(value, layout, instruction_set):  # noqa: ARG001
    features, weight = made(2, 11, 4, 5)
    index = torch.tensor([1, 2])
    weight[:, 3], weight[:, 7] = -1, -0.0
    features[:, 5] = 1
    wanted = cam(LAYOUTS[layout](features), weight, index, True)
    features[:, [0, 3, 7]] = value
    assert torch.equal(cam(LAYOUTS[layout](features), weight, index, True), wanted)
    features[:, 5, 0, 0] = torch.nan
    weight[:, 5] = 1
    assert cam(LAYOUTS[layout](features), weight, index, True)[:, 0, 0].isnan().all()


def test_a_nan_among_the_weights_is_not_clamped_away():
    features, weight = made(1, 4, 2, 2)
    weight[0, 2] = torch.nan
    assert cam(features, weight, torch.tensor([0]), True).isnan().all()


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_the_number_of_threads_and_of_images_changes_nothing(layout, restored_threads):  # noqa: ARG001
    features, weight = made(33, 256, 14, 14)
    features, index = LAYOUTS[layout](features), torch.arange(33) % 9
    torch.set_num_threads(1)
    wanted = cam(features, weight, index, True)
    alone = [cam(features[i : i + 1], weight, index[i : i + 1], True) for i in range(33)]
    assert torch.equal(torch.cat(alone), wanted)
    for threads in (2, 5):
        torch.set_num_threads(threads)
        assert torch.equal(cam(features, weight, index, True), wanted)


@pytest.mark.parametrize(
    ("features", "weight", "index"),
    [
        ((0, 4, 3, 3), (5, 4), (0,)),
        ((0, 4, 3, 3), (0, 4), None),
        ((2, 0, 3, 3), (5, 0), (2,)),
        ((2, 4, 3, 3), (0, 4), (2,)),
    ],
    ids=["no images", "no images, no index", "no channels", "no classes"],
)
def test_nothing_to_add(features, weight, index):
    arguments = torch.ones(features), torch.ones(weight), index and torch.zeros(index, dtype=torch.int64)
    assert_same_bits(cam(*arguments, True), reference.cam(*arguments, True))


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "every other"])
@pytest.mark.parametrize(
    "index", [None, torch.tensor([0, 2]), torch.tensor([[0, 1, 2], [2, 1, 0]])], ids=["rows", "N", "NT"]
)
def test_the_operator_keeps_what_it_promised_pytorch(index, layout):
    features, weight = made(2, 4, 3, 5, classes=2 if index is None else 3)
    torch.library.opcheck(cam, (LAYOUTS[layout](features), weight, index, True))


special = st.sampled_from([torch.nan, torch.inf, -torch.inf, -0.0, 0.0, 1e-40, 3e38])


@given(
    shape=st.tuples(st.integers(0, 3), st.integers(1, 6), st.integers(1, 6), st.integers(1, 6)),
    layout=st.sampled_from(sorted(LAYOUTS)),
    values=st.lists(special | st.floats(-4, 4, width=32), min_size=1, max_size=12),
    dtype=st.sampled_from(DTYPES),
    clamp=st.booleans(),
)
def test_any_shape_layout_and_values(shape, layout, values, dtype, clamp):
    count = torch.Size(shape).numel()
    features = LAYOUTS[layout](torch.tensor((values * count)[:count], dtype=dtype).reshape(shape))
    weight = torch.tensor((values[::-1] * 5 * shape[1])[: 5 * shape[1]], dtype=dtype).reshape(5, shape[1])
    index = torch.arange(shape[0])
    assert_same_bits(cam(features, weight, index, clamp), reference.cam(features, weight, index, clamp))
