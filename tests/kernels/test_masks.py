"""The kernel from maps to packed masks against the reference, bit for bit."""

from __future__ import annotations

import math
import struct

import numpy as np
import prediction
import pytest
import torch
from cases import RESIZES, broken_maps, heat_maps, score_map
from fastcam.kernels import masks as kernel
from fastcam.kernels import resize, selection

from fastcam.ops.regions import unpack
from fastcam.reference import activation as reference

NORMALIZATIONS = ("none", "minmax", "max", "percentile")


def assert_binarizes_as_reference(maps, size, interpolation, normalize, quantize, q, threshold, with_maps=True):
    n, (height, width) = len(maps), size
    packed = torch.full((n, height, -(-width // 64)), -1, device=maps.device)
    thresholds = torch.full((n,), 7.0, device=maps.device)
    extents = torch.full((n, 5), -9, dtype=torch.int32, device=maps.device)
    full = torch.full((n, *size), 7, dtype=torch.uint8 if quantize else torch.float32, device=maps.device)
    kernel.binarize(
        maps.contiguous(),
        size,
        interpolation=interpolation,
        normalize=normalize,
        quantize=quantize,
        q=q,
        threshold=threshold,
        packed=packed,
        thresholds=thresholds,
        extents=extents,
        maps=full if with_maps else None,
    )
    wanted = reference.kept(
        maps, size, interpolation=interpolation, normalization=normalize, quantize=quantize, q=q, threshold=threshold
    )
    if with_maps:
        torch.testing.assert_close(full, wanted[0], rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(thresholds, wanted[1], rtol=0, atol=0, equal_nan=True)
    assert torch.equal(unpack(packed, width), wanted[2])
    for extent, mask in zip(extents.tolist(), wanted[2], strict=True):
        ys, xs = (part.tolist() for part in torch.nonzero(mask, as_tuple=True))
        box = [len(ys), min(xs), min(ys), max(xs) + 1, max(ys) + 1] if ys else [0] * 5
        assert extent == box


def some(maps, device, *names):
    return torch.stack([maps[name] for name in names or maps]).to(device)


@pytest.mark.parametrize(("source", "size"), RESIZES[1:6] + RESIZES[8:9] + RESIZES[11:], ids=str)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_every_kind_of_resize(interpolation, source, size, device):
    maps = some(heat_maps(*source), device, "smooth", "rectified", "one peak")
    assert_binarizes_as_reference(maps, size, interpolation, "none", False, 90.0, 0.35)


def test_maps_of_every_kind(device):
    assert_binarizes_as_reference(some(heat_maps(6, 7), device), (19, 30), "bilinear", "none", False, 90.0, 0.35)


@pytest.mark.parametrize("quantize", [False, True])
@pytest.mark.parametrize("normalize", NORMALIZATIONS)
def test_every_normalization_also_of_broken_maps(normalize, quantize, device):
    kinds = {**heat_maps(5, 6), **broken_maps(5, 6)}
    maps = some(kinds, device, "noise", "constant", "nan", "infinity", "all nan")
    for interpolation, size, q in (("bilinear", (9, 11), 90.0), ("bicubic", (5, 6), 100.0)):
        assert_binarizes_as_reference(maps, size, interpolation, normalize, quantize, q, 0.35)


@pytest.mark.parametrize("q", [0.0, 85.0, 87.5, 90.0, 100.0])  # of five values: 3.4, 3.5 and 3.6 among others
def test_percentiles_are_numpys(q, device):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(6, 1, 5, generator=generator) * 10 ** (8 * torch.rand(6, 1, 5, generator=generator))
    assert_binarizes_as_reference(maps.to(device), (1, 5), "bilinear", "none", False, q, 1.0)


def test_without_the_maps(device):
    assert_binarizes_as_reference(
        some(heat_maps(7, 7), device, "smooth"), (40, 130), "bicubic", "minmax", True, 90.0, 0.35, with_maps=False
    )


@pytest.mark.parametrize("options", [("bilinear", "none", False, 90.0, 0.35), ("bicubic", "minmax", True, 90.0, 0.35)])
def test_a_map_at_the_size_of_a_photograph(options, device):
    assert_binarizes_as_reference(score_map("B")[None].to(device), (224, 224), *options)


@pytest.mark.parametrize("kind", prediction.PASSES)
def test_the_search_takes_as_many_passes_as_predicted(kind, device, monkeypatch):
    if device.type != "cpu":
        pytest.skip("counts calls in the interpreter")
    narrowed, calls = selection._narrowed, []
    monkeypatch.setattr(selection, "_narrowed", lambda *args: calls.append(1) or narrowed(*args))
    maps = heat_maps(14, 14)[kind][None]
    assert_binarizes_as_reference(maps, (224, 224), "bilinear", "none", False, 90.0, 0.35, with_maps=False)
    assert 0 < len(calls) / 3 <= prediction.PASSES[kind]


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_map_shared_by_programs(interpolation, n, device, monkeypatch):
    monkeypatch.setattr(kernel, "_PROGRAMS", 7)  # 2 or 7 for a map
    maps = some(heat_maps(9, 4), device, "smooth", "one peak", "negative")[:n]
    assert_binarizes_as_reference(maps, (70, 130), interpolation, "none", False, 90.0, 0.35)


@pytest.mark.long
@pytest.mark.parametrize(("source", "size"), RESIZES, ids=str)
def test_everything(source, size, device):
    maps = some({**heat_maps(*source), **broken_maps(*source)}, device)
    for interpolation in ("bilinear", "bicubic"):
        for normalize, quantize in (("none", False), ("minmax", True), ("percentile", True), ("max", False)):
            for q, threshold in ((90.0, 0.35), (95.25, 0.0), (100.0, 0.2)):
                assert_binarizes_as_reference(maps, size, interpolation, normalize, quantize, q, threshold)


# ------------------------------------------------------------------------------------- what the host computes for it


@pytest.mark.parametrize(("count", "q"), [(1, 90), (2, 50), (5, 87.5), (50176, 90), (50176, 100), (4096**2, 99.9)])
def test_the_rank_is_that_of_numpy(count, q):
    k, factor, upper = kernel.rank(count, q)
    gamma = 1 - factor if upper else factor
    assert k + gamma == pytest.approx((count - 1) * q / 100, abs=1e-6)
    assert 0 <= factor <= 0.5
    assert k <= count - 1


@pytest.mark.parametrize("number", [0.0, 0.35, 1.0, math.pi])
def test_a_number_travels_as_its_bits(number):
    assert struct.unpack("<d", struct.pack("<q", kernel.bits_of(number)))[0] == number


def test_segments_hold_every_pixel_once():
    for n, length in ((14, 224), (1, 8), (3, 17), (7, 8), (28, 4096)):
        lengths, factors = resize.segments(n, length)
        assert lengths.sum() == length
        assert len(lengths) % resize.CELLS == 0
        first, wanted = resize.axis(n, length, 2)
        assert np.array_equal(factors[np.isfinite(factors)], wanted[0, :length])
        assert np.array_equal(np.repeat(np.arange(len(lengths)), lengths), first[:length])
        within = np.diff(factors)[np.isfinite(factors[:, 1:])]
        assert (within >= 0).all()  # or no search would find anything
        assert np.isinf(factors[:, -1]).all()  # what every search ends at


@pytest.mark.parametrize("taps", [1, 2, 4])
@pytest.mark.parametrize(("n", "length"), [(14, 224), (7, 7), (1, 5), (9, 4), (5, 65)])
def test_the_tables_are_padded_with_what_exceeds_nothing(n, length, taps):
    first, factors = resize.axis(n, length, taps)
    assert len(first) == factors.shape[1] == -(-length // 64) * 64
    assert factors.shape[0] == (4 if taps == 4 else 1)
    assert np.isfinite(factors[:, :length]).all()
    assert np.isnan(factors[:, length:]).all()
    assert (first[length:] == 0).all()
    if taps == 4:
        np.testing.assert_allclose(factors[:, :length].sum(0), 1, atol=1e-6)
    if taps == 2:
        assert first.min() >= 0
        assert first.max() <= n - 1
