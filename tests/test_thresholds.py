"""Otsu's threshold against OpenCV, hysteresis against SciPy, IVR's normalizations against numbers by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from cases import smooth_maps, varied
from scipy import ndimage
from test_objects import kinds_of_maps

import fastcam
from fastcam import AUTHORS, PAPER
from fastcam.localization import localize_maps
from fastcam.reference.normalization import normalize
from fastcam.reference.otsu import otsu

LEVELS = PAPER.replace(normalize="minmax", quantize=True, threshold="otsu")


@pytest.fixture(autouse=True)
def opencvs_own_arithmetic():
    """Without Intel's library, which takes another of two levels whose variances are equal."""
    used = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    yield
    cv2.ipp.setUseIPP(used)


def by_opencv(levels):
    return [cv2.threshold(one, 0, 255, cv2.THRESH_OTSU)[0] for one in levels.numpy()]


def odd_levels(count, seed):
    """Levels (H, W) of many kinds: noise, one or two values, a bell, a gradient."""
    rng = np.random.default_rng(seed)
    for k in range(count):
        shape = tuple(rng.integers(1, 60, 2))
        if k % 6 == 0:
            levels = rng.integers(0, 256, shape)
        elif k % 6 == 1:
            levels = np.full(shape, rng.integers(0, 256))
        elif k % 6 == 2:
            levels = rng.choice(rng.integers(0, 256, 2), shape)
        elif k % 6 == 3:
            levels = rng.normal(100, 20, shape).clip(0, 255)
        elif k % 6 == 4:
            levels = rng.choice([0, 255], shape)
        else:
            levels = np.linspace(0, 255, shape[0] * shape[1]).reshape(shape)
        yield torch.from_numpy(levels.astype(np.uint8))


def test_otsus_threshold_of_3000_maps_of_levels_is_opencvs():
    for levels in odd_levels(3000, 0):
        counts = np.bincount(levels.numpy().ravel(), minlength=256)
        assert otsu(counts[None]).tolist() == by_opencv(levels[None])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_otsus_threshold_of_3000_maps_is_opencvs(dtype):
    maps = kinds_of_maps(600 if dtype == torch.float32 else 40, (11, 13)).to(dtype)
    found = localize_maps(maps, None, size=(19, 17), protocol=LEVELS, return_maps=True, return_masks=True)
    assert found.thresholds.tolist() == by_opencv(found.maps)
    assert torch.equal(found.masks, found.maps > found.thresholds[:, None, None])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("normalize", ["none", "minmax", "max", "percentile"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_otsus_threshold_without_levels_parts_the_pixels_alike(interpolation, normalize, dtype):
    maps = kinds_of_maps(8, (6, 7)).to(dtype)
    protocol = PAPER.replace(threshold="otsu", interpolation=interpolation, normalize=normalize)
    found = localize_maps(maps, None, size=(40, 37), protocol=protocol, return_maps=True, return_masks=True)
    for full, mask, threshold in zip(found.maps, found.masks, found.thresholds, strict=True):
        wide = full.double()
        low, high = wide.min(), wide.max()
        if not (torch.isfinite(low) and torch.isfinite(high) and high > low):
            assert not mask.any()
            continue
        levels = ((wide - low) / (high - low) * 255).to(torch.uint8)
        (level,) = by_opencv(levels[None])
        assert torch.equal(mask, levels > level)
        assert threshold == full[levels <= level].max()
        assert torch.equal(mask, full > threshold)


def test_otsus_threshold_from_features_and_with_all_boxes():
    features, weight = smooth_maps(6, (9, 9), 3)[:, None], torch.ones(6, 1)
    for protocol in (LEVELS, AUTHORS.replace(threshold="otsu"), PAPER.replace(threshold="otsu")):
        one = fastcam.localize(features, weight, size=(50, 60), protocol=protocol, return_maps=True)
        of_maps = localize_maps(features[:, 0], None, size=(50, 60), protocol=protocol)
        every = fastcam.localize(features, weight, size=(50, 60), protocol=protocol.replace(keep="all", max_boxes=1))
        assert torch.equal(one.boxes, of_maps.boxes)
        assert torch.equal(one.boxes, every.boxes)
        assert torch.equal(one.thresholds, every.thresholds)


def above(full, low, high, connectivity):
    """The components of ``full > low`` that hold a pixel above ``high``, by SciPy: {box: pixels}."""
    labels, count = ndimage.label(full > low, np.ones((3, 3)) if connectivity == 8 else None)
    places = ndimage.find_objects(labels)
    found = []
    for number in range(1, count + 1):
        inside = labels == number
        if (full[inside] > high).any():
            y, x = places[number - 1]
            found.append(((x.start, y.start, x.stop, y.stop), int(inside.sum())))
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("quantize", [False, True])
@pytest.mark.parametrize("connectivity", [4, 8])
def test_hysteresis_keeps_components_that_hold_a_high_pixel(connectivity, quantize, dtype):
    maps = kinds_of_maps(12, (7, 9)).to(dtype)
    protocol = PAPER.replace(
        threshold=0.4, high_threshold=0.9, connectivity=connectivity, normalize="minmax", quantize=quantize
    )
    some_left_out = False
    every = localize_maps(maps, None, size=(33, 40), protocol=protocol.replace(keep="all"), return_maps=True)
    one = localize_maps(maps, None, size=(33, 40), protocol=protocol)
    for i, full in enumerate(every.maps.numpy()):
        percentile = np.percentile(full, 90)
        low, high = (percentile.dtype.type(theta) * percentile for theta in (0.4, 0.9))
        if quantize:
            low, high = np.floor(0.4 * percentile), np.floor(0.9 * percentile)
        wanted = above(full, low, high, connectivity)
        some_left_out |= len(wanted) < len(above(full, low, -np.inf, connectivity))
        rows = every.image == i
        found = list(zip(map(tuple, every.boxes[rows].tolist()), every.areas[rows].tolist(), strict=True))
        assert sorted(found) == sorted(wanted)
        best = max((area for _, area in wanted), default=0)
        assert one.areas[i] == best
        assert tuple(one.boxes[i].tolist()) == (found[0][0] if found else (0, 0, 0, 0))
    assert some_left_out


def test_hysteresis_from_features_and_its_empty_box():
    features, weight = torch.randn(5, 3, 6, 7, generator=torch.Generator().manual_seed(0)), torch.ones(5, 3)
    protocol = PAPER.replace(high_threshold=0.99)
    whole = fastcam.localize(features, weight, size=(30, 31), protocol=protocol, return_masks=True)
    of_maps = localize_maps(fastcam.cam(features, weight), None, size=(30, 31), protocol=protocol)
    assert torch.equal(whole.boxes, of_maps.boxes)
    flat = torch.zeros(2, 3, 3)
    for empty, box in (("zeros", [0, 0, 0, 0]), ("image", [0, 0, 3, 3])):
        found = fastcam.boxes_from_maps(flat, protocol=protocol.replace(empty=empty))
        assert found.boxes.tolist() == [box] * 2
        assert found.areas.tolist() == [0, 0]


IVRS = torch.tensor([[[-1.0, 0, 1, 2], [3, 4, 5, 10]]])


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        # Of eight values, index int(.9 * 8) = 7 of the sorted ones: 10.
        ({"normalize": "pas", "percentile": 90}, [0, 1 / 11, 2 / 11, 3 / 11, 4 / 11, 5 / 11, 6 / 11, 1]),
        # Index int(.7 * 8) = 5: 4, which is 5 above the minimum.
        ({"normalize": "pas", "percentile": 70}, [0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1]),
        # Index int(.45 * 8) = 3: 2.
        ({"normalize": "ivr", "base_percentile": 45}, [0, 0, 0, 0, 0.125, 0.25, 0.375, 1]),
        # Index int(.6 * 8) = 4: 3.
        ({"normalize": "ivr", "base_percentile": 60}, [0, 0, 0, 0, 0, 1 / 7, 2 / 7, 1]),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ivrs_normalizations_worked_by_hand(dtype, fields, wanted):
    protocol = varied(PAPER, **fields)
    maps = IVRS.to(dtype)
    found = localize_maps(maps, None, size=(2, 4), protocol=protocol, return_maps=True)
    assert found.maps.flatten().tolist() == torch.tensor(wanted, dtype=torch.float64).to(dtype).tolist()
    levels = localize_maps(maps, None, size=(2, 4), protocol=varied(protocol, quantize=True), return_maps=True)
    assert levels.maps.flatten().tolist() == [int(255 * x) for x in wanted]


@pytest.mark.parametrize("how", ["pas", "ivr"])
def test_where_ivrs_code_divides_by_zero_there_are_zeros(how):
    constant, few = torch.full((1, 3, 3), 2.5), torch.zeros(1, 4, 4)
    few[0, 0, 0] = 1.0
    assert normalize(constant, how, 90).tolist() == torch.zeros(1, 3, 3).tolist()
    for maps in (constant, few, few.double()):
        found = localize_maps(maps, None, size=(9, 9), protocol=PAPER.replace(normalize=how), return_maps=True)
        assert found.maps.isfinite().all()


@pytest.mark.parametrize("how", ["pas", "ivr"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_ivrs_normalizations_of_many_maps(interpolation, how):
    maps = kinds_of_maps(6, (6, 7))
    for percentile in (85, 100):
        protocol = PAPER.replace(normalize=how, interpolation=interpolation, percentile=percentile)
        found = localize_maps(maps, None, size=(41, 30), protocol=protocol, return_maps=True)
        raw = localize_maps(maps, None, size=(41, 30), protocol=protocol.replace(normalize="none"), return_maps=True)
        for full, plain in zip(found.maps.numpy(), raw.maps.numpy().astype(float), strict=True):
            if not np.isfinite(plain).all() or plain.min() == plain.max():
                assert not full.any()
                continue
            ordered = np.sort(plain.ravel())
            if how == "pas":
                index = min(int(percentile / 100 * plain.size), plain.size - 1)
                wanted = np.minimum((plain - plain.min()) / (ordered[index] - plain.min()), 1)
            else:
                base = ordered[int(0.45 * plain.size)]
                wanted = np.maximum(plain - base, 0) / (plain.max() - base)
            np.testing.assert_array_equal(full, wanted.astype(np.float32))


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"threshold": "otso"}, ValueError, r"threshold must be a number in \[0, 1\], 'otsu' or 'stable', got 'otso'"),
        ({"high_threshold": 0.2}, ValueError, "high_threshold must be at least threshold, 0.35, got 0.2"),
        ({"high_threshold": 1.2}, ValueError, r"high_threshold must lie in \[0, 1\], got 1.2"),
        ({"high_threshold": "high"}, TypeError, "high_threshold must be a number, got 'high'"),
        ({"base_percentile": 0.45}, ValueError, "base_percentile is in percent, .* did you mean 45?"),
        ({"base_percentile": 101}, ValueError, r"base_percentile must lie in \[0, 100\], got 101"),
        ({"normalize": "iv"}, ValueError, "normalize must be one of .*'pas', 'ivr', got 'iv'"),
    ],
)
def test_what_is_refused(fields, error, message):
    with pytest.raises(error, match=message):
        PAPER.replace(**fields)
