"""The class activation map of sound, video and volumes: positions along one axis or three."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import DTYPES
from torch import nn

import fastcam
from fastcam.ops import activation

SIDES = {"one axis": (11,), "three axes": (3, 4, 5), "one of depth": (1, 4, 5), "one position": (1, 1, 1)}
WEIGHT = torch.randn(7, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
INDICES = {"one an image": [3, 0], "some an image": [[3, 0, 3], [6, 6, 1]], "none": None}


def features(sides):
    return torch.randn(2, 6, *sides, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def by_einsum(features, weight, index, clamp):
    """NumPy's sums in float64."""
    rows = weight.double().numpy()
    rows = rows[:2] if index is None else rows[np.array(index)]
    rows = np.maximum(rows, 0) if clamp else rows
    return np.einsum("ntc,nc...->nt..." if rows.ndim == 3 else "nc,nc...->n...", rows, features.double().numpy())


@pytest.mark.parametrize("sides", SIDES.values(), ids=SIDES)
@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
@pytest.mark.parametrize("clamp", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_values(sides, index, clamp, dtype):
    given, weight = features(sides).to(dtype), WEIGHT.to(dtype)
    found = fastcam.cam(given, weight[:2] if index is None else weight, index, clamp_negative=clamp)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    np.testing.assert_allclose(found.numpy(), by_einsum(given, weight, index, clamp), rtol=tolerance, atol=tolerance)


STRIDES = {
    "contiguous": lambda x: x,
    "channels last": lambda x: x.movedim(1, -1).contiguous().movedim(-1, 1),
    "every other": lambda x: x.repeat_interleave(2, -1)[..., ::2],
    "a crop in depth": lambda x: torch.cat((x, x), 2)[:, :, : x.shape[2]],
    "a crop in width": lambda x: torch.cat((x, x), -1)[..., : x.shape[-1]],
    "axes reversed": lambda x: x.permute(*range(x.ndim - 1, -1, -1)).contiguous().permute(*range(x.ndim - 1, -1, -1)),
    "depth before channels": lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
    "a crop in height": lambda x: torch.cat((x, x), -2)[..., : x.shape[-2], :] if x.ndim == 5 else x,
    "expanded": lambda x: x[..., :1].expand(x.shape),
}
COPIED = ("axes reversed",)


@pytest.mark.parametrize("sides", [(11,), (3, 4, 5)], ids=["one axis", "three axes"])
@pytest.mark.parametrize("layout", STRIDES)
def test_strides_and_what_is_copied(sides, layout, monkeypatch):
    given = STRIDES[layout](features(sides))
    seen = []
    monkeypatch.setattr(activation, "cam", lambda planes, *rest: seen.append(planes) or original(planes, *rest))
    found = fastcam.cam(given, WEIGHT, [3, 0])
    np.testing.assert_allclose(found.numpy(), by_einsum(given, WEIGHT, [3, 0], True), rtol=1e-12, atol=1e-12)
    if len(sides) == 1 or layout not in COPIED:
        assert seen[0].data_ptr() == given.data_ptr()


original = activation.cam


@pytest.mark.parametrize("sides", [(11,), (3, 4, 5)], ids=["one axis", "three axes"])
def test_no_images(sides):
    assert fastcam.cam(features(sides)[:0], WEIGHT, [[]] * 0).shape == (0, *sides)
    assert fastcam.cam(features(sides), WEIGHT, torch.zeros(2, 0, dtype=torch.int64)).shape == (2, 0, *sides)


@pytest.mark.parametrize("sides", [(11,), (3, 4, 5)], ids=["one axis", "three axes"])
def test_a_nan_that_is_not_read(sides):
    given, weight = features(sides), WEIGHT.clone()
    given[:, 2], weight[3, 2] = torch.nan, 0
    assert fastcam.cam(given, weight, 3).isfinite().all()


class Mapped(nn.Module):
    def __init__(self, axes):
        super().__init__()
        self.conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1](2, 6, 3)
        self.fc = nn.Linear(6, 7)

    def forward(self, x, index):
        return fastcam.cam(self.conv(x).relu(), self.fc.weight, index)


@pytest.mark.parametrize("axes", [1, 3])
def test_compiled_and_exported_for_any_batch(axes):
    torch.manual_seed(0)
    model = Mapped(axes).eval()
    x, index = torch.rand(3, 2, *[6, 7, 8][:axes]), torch.tensor([3, 0, 6])
    wanted = model(x, index)
    torch.testing.assert_close(torch.compile(model, fullgraph=True, backend="aot_eager")(x, index), wanted)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(model, (x, index), dynamic_shapes={"x": {0: batch}, "index": {0: batch}})
    torch.testing.assert_close(exported.module()(x, index), wanted)
    torch.testing.assert_close(exported.module()(x[:2], index[:2]), wanted[:2])


BAD = {
    "sides of 0": (features((3, 0, 5)), WEIGHT, r"sides of at least 1 .*got shape \(2, 6, 3, 0, 5\)"),
    "no length": (features((0,)), WEIGHT, r"\(N, C, l\) .*got shape \(2, 6, 0\)"),
    "channels": (features((3, 4, 5))[:, :5], WEIGHT, r"weight's C=6 channels, got shape \(2, 5, 3, 4, 5\)"),
    "no positions": (features(()), WEIGHT, r"features must be \(N, C, h, w\) .*got shape \(2, 6\)"),
    "four axes": (features((1, 1, 1, 1)), WEIGHT, r"features must be \(N, C, h, w\) .*got shape \(2, 6, 1, 1, 1, 1\)"),
}


@pytest.mark.parametrize(("given", "weight", "message"), BAD.values(), ids=BAD)
def test_what_is_refused(given, weight, message):
    with pytest.raises(ValueError, match=message):
        fastcam.cam(given, weight, [3, 0])


@pytest.mark.parametrize("sides", [(11,), (3, 4, 5)], ids=["one axis", "three axes"])
def test_boxes_are_refused_by_name(sides):
    with pytest.raises(ValueError, match=r"features must be \(N, C, h, w\) .*no boxes\), got shape \(2, 6, "):
        fastcam.localize(features(sides), WEIGHT, [3, 0], size=(8, 8))
    with pytest.raises(TypeError, match="dense"):
        fastcam.cam(features(sides).to_sparse(), WEIGHT, [3, 0])
