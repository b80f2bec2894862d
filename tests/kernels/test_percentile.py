"""The percentile of a resized map: NumPy's to the bit, in as many passes as predicted."""

from __future__ import annotations

import prediction
import pytest
import torch
from cases import broken_maps, heat_maps, varied
from fastcam.kernels import masks, percentile_split
from fastcam.kernels import percentile as kernel

from fastcam import AUTHORS, PAPER


@pytest.mark.parametrize("q", [0, 85, 87.5, 90, 100])  # of five values: 3.4, 3.5 and 3.6 among others
def test_percentiles_are_numpys(q, device, assert_binarizes_as_reference):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(6, 1, 5, generator=generator) * 10 ** (8 * torch.rand(6, 1, 5, generator=generator))
    assert_binarizes_as_reference(maps.to(device), (1, 5), varied(PAPER, percentile=q, threshold=1))


@pytest.mark.parametrize("kind", prediction.PASSES)
def test_the_search_takes_as_many_passes_as_predicted(kind, device, monkeypatch, assert_binarizes_as_reference):
    if device.type != "cpu":
        pytest.skip("counts calls in the interpreter")
    narrowed, calls = kernel._narrowed, []
    monkeypatch.setattr(kernel, "_narrowed", lambda *args: calls.append(1) or narrowed(*args))
    assert_binarizes_as_reference(heat_maps(14, 14)[kind][None], (224, 224), PAPER, with_maps=False)
    assert 0 < len(calls) / 3 <= prediction.PASSES[kind]


@pytest.mark.parametrize(("protocol", "parts"), [(PAPER, 2), (AUTHORS, 3)], ids=["PAPER", "AUTHORS"])
def test_many_programs_find_what_one_finds(protocol, parts, device, monkeypatch, assert_binarizes_as_reference):
    kinds = {**heat_maps(9, 4), **broken_maps(9, 4)}
    maps = torch.stack([kinds[name] for name in ("smooth", "noise", "constant", "nan")]).to(device)
    searched = []
    split = masks.find_threshold_split
    monkeypatch.setattr(masks, "find_threshold_split", lambda *args, **kwargs: searched.append(split(*args, **kwargs)))
    monkeypatch.setattr(masks, "programs_of_a_map", lambda *_: parts)
    assert_binarizes_as_reference(maps, (70, 130), protocol)
    assert len(searched) == 1


@pytest.mark.parametrize(
    ("maps", "tiles", "wanted"), [(1, 4096, 264), (64, 4096, 4), (256, 4096, 1), (1, 127, 1), (1, 128, 32), (2, 14, 1)]
)
def test_few_large_maps_are_searched_by_many_programs(maps, tiles, wanted):
    assert percentile_split.programs_of_a_map(maps, tiles) == wanted


@pytest.mark.parametrize(("count", "q"), [(1, 90), (2, 50), (5, 87.5), (50176, 90), (50176, 100), (4096**2, 99.9)])
def test_the_rank_is_that_of_numpy(count, q):
    k, factor, upper = kernel.rank(count, q)
    gamma = 1 - factor if upper else factor
    assert k + gamma == pytest.approx((count - 1) * q / 100, abs=1e-6)
    assert 0 <= factor <= 0.5
    assert k <= count - 1
