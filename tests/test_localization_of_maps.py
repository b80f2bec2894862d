"""Finished maps to boxes: as localize finds them from features whose channels are the maps."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from cases import heat_maps

import fastcam
from fastcam.localization import localize_maps

MAPS = torch.stack(list(heat_maps(6, 7).values()))[:9]
LABELS = torch.arange(9)
ALL = {"return_maps": True, "return_masks": True}


def assert_same(found, wanted):
    for field in dataclasses.fields(found):
        a, b = getattr(found, field.name), getattr(wanted, field.name)
        if isinstance(a, list):
            assert all(map(torch.equal, a, b))
        elif isinstance(a, (int, tuple)):
            assert a == b
        else:
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a is b is None


SIZES = {"one size": (20, 31), "a size an image": [(20, 31), (6, 7), (9, 50)]}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("protocol", [fastcam.PAPER, fastcam.AUTHORS])
def test_one_map_an_image(protocol, size):
    options = {"size": size, "protocol": protocol, "threshold": 0.4, **ALL}
    found = localize_maps(MAPS[:3], LABELS[:3], **options)
    wanted = fastcam.localize(MAPS[:3, None], torch.ones(9, 1), LABELS[:3], **options)
    assert_same(found, wanted)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_several_maps_an_image(size):
    options = {"size": size, "percentile": 95, **ALL}
    maps, labels = MAPS.unflatten(0, (3, 3)), LABELS.reshape(3, 3)
    found = localize_maps(maps, labels, **options)
    assert found.boxes.shape == (3, 3, 4)
    # Channel t of an image is the map of its t-th class.
    wanted = fastcam.localize(maps, torch.eye(3), torch.arange(3).expand(3, 3), **options)
    assert_same(found, dataclasses.replace(wanted, labels=labels))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_any_width_with_gradient_and_without_labels(dtype):
    maps = MAPS.clamp(-100, 100).to(dtype)
    found = localize_maps(maps.clone().requires_grad_(), None, size=(8, 9), return_maps=True)
    wanted = localize_maps(maps.float(), None, size=(8, 9), return_maps=True)
    assert_same(found, wanted)
    assert not found.maps.requires_grad


@pytest.mark.parametrize("shape", [(0, 4, 5), (0, 2, 4, 5), (0, 0, 4, 5), (3, 0, 4, 5)], ids=str)
@pytest.mark.parametrize("ragged", [False, True])
def test_no_maps(ragged, shape):
    found = localize_maps(torch.ones(shape), None, size=[(8, 9)] * shape[0] if ragged else (8, 9), **ALL)
    assert found.boxes.shape == (*shape[:-2], 4)
    assert len(found) == len(found.maps) == len(found.masks) == shape[0]


BAD = [
    ((MAPS.numpy(), None), {}, TypeError, "maps must be a floating-point tensor, got ndarray"),
    ((MAPS.to(torch.uint8), None), {}, TypeError, "maps must be a floating-point tensor, got torch.uint8"),
    ((MAPS[0], None), {}, ValueError, r"maps must be \(N, h, w\) or \(N, T, h, w\) .* got shape \(6, 7\)"),
    ((MAPS[:, :0], None), {}, ValueError, r"maps must be .* h and w at least 1, got shape \(9, 0, 7\)"),
    ((MAPS, LABELS[:4]), {}, ValueError, r"labels must be \(9,\), one a map, got shape \(4,\)"),
    ((MAPS, None), {"size": [(4, 3)] * 3}, ValueError, "size must be .* 9 images, got 3 of them"),
    ((MAPS, None), {"protocol": "PAPER"}, TypeError, "protocol must be a fastcam.Protocol, got 'PAPER'"),
    ((MAPS, None), {"percentile": 0.9}, ValueError, "percentile is in percent, .* did you mean 90?"),
    ((MAPS, np.arange(9)), {}, TypeError, "labels must be a tensor, got ndarray"),
]


@pytest.mark.parametrize(("arguments", "options", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_a_bad_argument_is_named(arguments, options, error, message):
    with pytest.raises(error, match=message):
        localize_maps(*arguments, **{"size": (8, 8), **options})
