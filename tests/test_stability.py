"""The most stable threshold: by hand, against the definition written with SciPy, and through every door."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import smooth_maps
from scipy import ndimage
from test_trees import maps_of_levels

import fastcam
from fastcam import PAPER
from fastcam.localization import localize_maps
from fastcam.ops import trees as ops
from fastcam.reference.stability import stable

STABLE = PAPER.replace(threshold="stable")


def by_scipy(levels):
    """(|Q(t - 5)| - |Q(t)|) / |Q(t)| at every threshold, and the lowest threshold of the smallest."""
    eight, best = np.ones((3, 3)), (True, np.inf, 0)
    for t in range(int(levels.max())):
        labels, _ = ndimage.label(levels > t, eight)
        areas = np.bincount(labels.ravel())[1:]
        for number in np.flatnonzero(areas == areas.max()) + 1:
            below = ndimage.label(levels > t - 5, eight)[0] if t >= 5 else np.ones_like(levels)
            y, x = np.argwhere(labels == number)[0]
            own, around = areas.max(), int((below == below[y, x]).sum())
            out = own < levels.size / 1000 or own > levels.size * 3 / 4
            best = min(best, (out, (around - own) / own, t))
    return best[2]


def test_worked_out_by_hand():
    steps = np.zeros((10, 10), np.uint8)
    steps[1:9, 1:9] = 40  # 64 pixels: of them 28 leave at 40
    steps[2:8, 2:8] = 42  # 36: of them 20 leave at 42
    steps[3:7, 3:7] = 90
    # From 47 on the 16 pixels are the same five levels below; and so are the 64 from 5 to 39: the lowest is 5.
    assert stable(steps) == 5
    slope = np.zeros((1, 100), np.uint8)
    slope[0, :60], slope[0, :20], slope[0, :18] = 3, 8, 11
    # |Q| is 60 below 3, 20 below 8, 18 below 11: t = 0, 1, 2: (100 - 60) / 60; 3, 4: (100 - 20) / 20;
    # 5, 6, 7: (60 - 20) / 20; 8: (20 - 18) / 18 with the component at 3.
    assert stable(slope) == 8
    # Isolated pixels of a map of a thousand and more do not count, nor does nearly the whole map.
    spot = np.zeros((50, 50), np.uint8)
    spot[10:30, 10:30], spot[0, 0] = 100, 255
    spot[40, 40] = 250
    assert stable(spot) == 5
    whole = np.full((10, 10), 200, np.uint8)
    whole[0, 0] = 0
    whole[2:5, 2:5], whole[3, 3] = 204, 255
    # The 99 pixels are out of bounds; (99 - 9) / 9 until 204, but 1 pixel alone is as it was from 209 on.
    assert stable(whole) == 209
    assert stable(np.full((3, 3), 9, np.uint8)) == 0  # the whole map, for want of others
    assert stable(np.zeros((3, 3), np.uint8)) == 0


@pytest.mark.parametrize("shape", [(23, 30), (1, 70), (65, 1), (40, 45)], ids=str)
def test_the_core_and_the_reference_are_the_definition(shape, instruction_set):  # noqa: ARG001
    maps = maps_of_levels(shape)
    wanted = [by_scipy(one) for one in maps.numpy()]
    assert ops.stable_levels(maps).tolist() == wanted
    assert [stable(one) for one in maps.numpy()] == wanted


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    "fields", [{}, {"normalize": "minmax", "quantize": True}, {"interpolation": "bicubic"}], ids=str
)
def test_from_maps_of_any_kind(fields, dtype):
    maps = smooth_maps(3, (7, 8), 0).to(dtype)
    maps = torch.cat([maps, torch.full((1, 7, 8), torch.nan, dtype=dtype), torch.zeros(1, 7, 8, dtype=dtype)])
    protocol = STABLE.replace(**fields)
    found = localize_maps(maps, None, size=(30, 29), protocol=protocol, return_maps=True, return_masks=True)
    for full, mask, threshold, box in zip(found.maps[:3], found.masks, found.thresholds, found.boxes, strict=False):
        wide = full.double()
        levels = ((wide - wide.min()) / (wide.max() - wide.min()) * 255).to(torch.uint8)
        if protocol.quantize:
            levels = full
        wanted = levels > by_scipy(levels.numpy())
        assert torch.equal(mask, wanted)
        assert threshold == full[~wanted].max() or (protocol.quantize and threshold == by_scipy(levels.numpy()))
        labels, _ = ndimage.label(wanted.numpy(), np.ones((3, 3)))
        y, x = ndimage.find_objects(labels)[np.bincount(labels.ravel())[1:].argmax()]
        assert box.tolist() == [x.start, y.start, x.stop, y.stop]
    assert not found.masks[3:].any()


def test_from_features_with_all_boxes_and_without_the_core(monkeypatch):
    features, weight = smooth_maps(4, (6, 6), 3)[:, None], torch.ones(4, 1)
    one = fastcam.localize(features, weight, size=(24, 26), threshold="stable")
    every = fastcam.localize(features, weight, size=(24, 26), protocol=STABLE.replace(keep="all", max_boxes=1))
    assert torch.equal(one.boxes, every.boxes)
    assert torch.equal(one.thresholds, every.thresholds)
    high = fastcam.localize(features, weight, size=(24, 26), protocol=STABLE.replace(high_threshold=0.9))
    assert torch.equal(one.thresholds, high.thresholds)
    monkeypatch.setattr(ops, "core", None)
    wide = fastcam.localize(features.double(), weight.double(), size=(24, 26), protocol=STABLE)
    assert torch.equal(one.boxes, wide.boxes)


def test_what_is_refused():
    with pytest.raises(ValueError, match="'otsu' or 'stable', got 'stabel'"):
        PAPER.replace(threshold="stabel")
    with pytest.raises(ValueError, match="height and width must be at most 65535 with threshold='stable'"):
        fastcam.boxes_from_maps(torch.rand(1, 4, 4), size=(1, 70_000), protocol=STABLE)
