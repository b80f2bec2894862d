"""The class activation map as users meet it: what may be handed in, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import DTYPES, LAYOUTS

import fastcam
from fastcam.reference.activation import cam as reference

FEATURES = torch.randn(2, 6, 4, 5, generator=torch.Generator().manual_seed(0))
WEIGHT = torch.randn(7, 6, generator=torch.Generator().manual_seed(1))
WANTED = reference(FEATURES, WEIGHT, torch.tensor([3, 0]), True)


def read_only(numbers):
    array = np.array(numbers)
    array.flags.writeable = False
    return array


INDICES = {
    "list": [3, 0],
    "tuple": (3, 0),
    "array": np.array([3, 0]),
    "array of uint8": np.array([3, 0], np.uint8),
    "array read backwards": np.array([0, 3])[::-1],
    "list of numbers of numpy": [np.int64(3), np.int32(0)],
    "list of tensors": [torch.tensor(3), torch.tensor(0)],
    "strided": torch.tensor([3, 9, 0, 9])[::2],
    "array of every other": np.array([3, 9, 0, 9])[::2],
    "array in Fortran's order": np.asfortranarray([[3, 1], [0, 1]])[:, 0],
    "array of zeros of no dimension": [np.array(3), np.array(0)],
    "list of numbers of numpy, unsigned": [np.uint16(3), np.uint64(0)],
    "masked array that hides nothing": np.ma.array([3, 0]),
    "read-only array": read_only([3, 0]),
    **{
        f"array of {code}": np.array([3, 0]).astype(code)
        for code in ("u1", "<u2", ">u2", "<u4", ">u4", "<u8", ">u8", "i1", "<i2", ">i2", "<i4", ">i4", "<i8", ">i8")
    },
    **{
        str(dtype): torch.tensor([3, 0]).to(dtype)
        for dtype in (torch.int8, torch.uint8, torch.int16, torch.uint16, torch.int32, torch.uint32, torch.int64)
    },
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_an_index_of_any_integers(index):
    assert torch.equal(fastcam.cam(FEATURES, WEIGHT, index), WANTED)


@pytest.mark.parametrize(
    "index",
    [
        3,
        np.int64(3),
        np.uint16(3),
        np.array(3),
        np.array(3, ">i4"),
        torch.tensor(3),
        torch.tensor(3, dtype=torch.uint16),
    ],
    ids=repr,
)
def test_one_number_stands_for_all_images(index):
    assert torch.equal(fastcam.cam(FEATURES, WEIGHT, index), fastcam.cam(FEATURES, WEIGHT, [3, 3]))


def test_several_classes_an_image():
    index = [[3, 0, 3], [6, 6, 1]]
    found = fastcam.cam(FEATURES, WEIGHT, index)
    assert found.shape == (2, 3, 4, 5)
    for t in range(3):
        assert torch.equal(found[:, t], fastcam.cam(FEATURES, WEIGHT, [row[t] for row in index]))


def test_weights_of_each_image_without_an_index():
    assert torch.equal(fastcam.cam(FEATURES, WEIGHT[[3, 0]]), WANTED)


def test_negative_weights_are_clamped_unless_told_otherwise():
    assert (WEIGHT[3] < 0).any()
    assert torch.equal(fastcam.cam(FEATURES, WEIGHT, [3, 0]), fastcam.cam(FEATURES, WEIGHT.clamp(min=0), [3, 0]))
    raw = fastcam.cam(FEATURES, WEIGHT, [3, 0], clamp_negative=False)
    torch.testing.assert_close(raw, torch.einsum("nc,nchw->nhw", WEIGHT[[3, 0]], FEATURES), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_features_of_any_width_and_layout(layout, dtype):
    found = fastcam.cam(LAYOUTS[layout](FEATURES.to(dtype)), WEIGHT, [3, 0])
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.equal(found, reference(FEATURES.to(dtype), WEIGHT, torch.tensor([3, 0]), True))


def test_nothing_flows_back():
    weight = torch.nn.Parameter(WEIGHT.clone())
    features = FEATURES.clone().requires_grad_()
    assert not fastcam.cam(features, weight, [3, 0]).requires_grad


def test_neither_features_nor_weight_are_changed():
    features, weight = FEATURES.clone(), WEIGHT.clone()
    fastcam.cam(features, weight, [3, 0])
    assert torch.equal(features, FEATURES)
    assert torch.equal(weight, WEIGHT)


@pytest.mark.parametrize("index", [[], torch.zeros(0, dtype=torch.int64), torch.zeros(0, 3, dtype=torch.int32), 5])
def test_no_images(index):
    found = fastcam.cam(FEATURES[:0], WEIGHT, index)
    assert found.shape == ((0, 3, 4, 5) if getattr(index, "ndim", 1) == 2 else (0, 4, 5))


META = torch.empty(7, 6, device="meta")

BAD = [
    ((FEATURES.numpy(), WEIGHT, [0, 1]), TypeError, "features must be a tensor, got ndarray"),
    ((FEATURES.long(), WEIGHT, [0, 1]), TypeError, "features must be float16, .* got torch.int64"),
    ((FEATURES[0], WEIGHT, [0, 1]), ValueError, r"features must be \(N, C, h, w\) .* got shape \(6, 4, 5\)"),
    ((FEATURES[:, :, :0], WEIGHT, [0, 1]), ValueError, r"features must be .* at least 1, got shape \(2, 6, 0, 5\)"),
    ((FEATURES, WEIGHT.tolist(), [0, 1]), TypeError, "weight must be a tensor, got list"),
    ((FEATURES, WEIGHT.int(), [0, 1]), TypeError, "weight must be float16, .* got torch.int32"),
    ((FEATURES, WEIGHT[0], [0, 1]), ValueError, r"weight must be \(K, C\) .* C=6 channels, got shape \(6,\)"),
    ((FEATURES, WEIGHT[:, :5], [0, 1]), ValueError, r"weight must be \(K, C\) .* C=6 channels, got shape \(7, 5\)"),
    ((FEATURES, META, [0, 1]), ValueError, "weight must be on the features' device cpu, got meta"),
    ((FEATURES, WEIGHT), ValueError, r"weight without index must be \(N, C\), .* 2 images, got shape \(7, 6\)"),
    ((FEATURES, WEIGHT, [0.0, 1.0]), TypeError, "index must be integers, got torch.float32"),
    ((FEATURES, WEIGHT, [True, False]), TypeError, "index must be integers, got torch.bool"),
    ((FEATURES, WEIGHT, np.array([0.0, 1.0], ">f4")), TypeError, "index must be integers, got torch.float32"),
    ((FEATURES, WEIGHT, np.array([True, False])), TypeError, "index must be integers, got torch.bool"),
    ((FEATURES, WEIGHT, np.array([0, 1], object)), TypeError, "index must be integers of shape .* got array"),
    ((FEATURES, WEIGHT, np.array([0, 1], "m8[s]")), TypeError, "index must be integers of shape .* got array"),
    ((FEATURES, WEIGHT, np.ma.array([0, 1], mask=[0, 1])), ValueError, r"index must .* index.filled\(value\)"),
    ((FEATURES, WEIGHT, np.array([0, 2**63], np.uint64)), ValueError, "index must lie in .* got 9223372036854775807"),
    ((FEATURES, WEIGHT, [0, 2**70]), TypeError, "index must be integers of shape"),
    ((FEATURES, WEIGHT, ["a", "b"]), TypeError, r"index must be integers of shape .* got \['a', 'b'\]"),
    ((FEATURES, WEIGHT, [[0], [0, 1]]), TypeError, r"index must be integers of shape .* got \[\[0\], \[0, 1\]\]"),
    ((FEATURES, WEIGHT, [0]), ValueError, r"index must be \(N,\) or \(N, T\) for the 2 images .* got shape \(1,\)"),
    ((FEATURES, WEIGHT, [0, 1, 2]), ValueError, r"index must be \(N,\) or \(N, T\) .* got shape \(3,\)"),
    ((FEATURES, WEIGHT, [[[0]], [[1]]]), ValueError, r"index must be \(N,\) or \(N, T\) .* got shape \(2, 1, 1\)"),
    ((FEATURES, WEIGHT, [0, 7]), ValueError, r"index must lie in \[0, 7\), got 7"),
    ((FEATURES, WEIGHT, [-1, 0]), ValueError, r"index must lie in \[0, 7\), got -1"),
    ((FEATURES, WEIGHT, 7), ValueError, r"index must lie in \[0, 7\), got 7"),
    ((FEATURES, WEIGHT[:0], [0, 0]), ValueError, r"index must lie in \[0, 0\), got 0"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_a_bad_argument_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        fastcam.cam(*arguments)
    with pytest.raises(error, match=message):
        fastcam.localize(*arguments, size=(8, 8))
