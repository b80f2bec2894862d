"""The operators that read score maps, and the promises that PyTorch's machinery relies on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import broken_maps, heat_maps

from fastcam.ops.score_maps import score_histogram, score_levels
from fastcam.reference import score_maps as reference

pytestmark = pytest.mark.usefixtures("poisoned_memory")

SIZES = [
    ((14, 14), (60, 40)),
    ((7, 7), (7, 7)),
    ((13, 9), (31, 77)),
    ((20, 30), (9, 8)),
    ((1, 1), (3, 5)),
    ((3, 1), (8, 9)),
]
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def raw_maps(source):
    return torch.stack(list({**heat_maps(*source), **broken_maps(*source)}.values()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("source", "size"), SIZES, ids=str)
def test_levels_of_raw_maps_are_those_of_the_reference(source, size, dtype, instruction_set):  # noqa: ARG001
    maps = raw_maps(source).to(dtype)
    levels, inside = score_levels(maps, *size, True)
    assert inside.all()
    wanted = reference.to_levels(reference.normalized(reference.resized(maps.double(), size)))
    assert torch.equal(levels, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
def test_levels_of_scores_are_truncated_and_maps_outside_are_reported(dtype):
    maps = torch.rand(6, 9, 11, generator=torch.Generator().manual_seed(0)).to(dtype)
    maps[0, 0, 0], maps[1, 2, 3], maps[2, 8, 10], maps[3, 4, 4] = torch.nan, 1.5, -0.01, 1
    levels, inside = score_levels(maps, 9, 11, False)
    assert inside.tolist() == [False, False, False, True, True, True]
    assert torch.equal(levels[3:], (maps[3:].double() * 255).to(torch.uint8))


@pytest.mark.parametrize("count", [1, 2, 3, 10, 49, 1000])
def test_histograms_are_those_of_the_reference(count, instruction_set):  # noqa: ARG001
    thresholds = np.arange(0, 1, 1 / count)
    edges = torch.from_numpy(np.append(thresholds, [1.0, 2, 3]))
    near = np.concatenate([thresholds, np.nextafter(thresholds, 2), np.nextafter(thresholds, 0), [1.0, 1.0]]).clip(0, 1)
    maps = torch.from_numpy(np.stack([near, np.random.default_rng(count).random(near.shape)]))[:, None]
    masks = torch.from_numpy(np.random.default_rng(0).choice([0, 1, 255], maps.shape).astype(np.uint8))
    counts, inside, known = score_histogram(maps, masks, edges, False)
    assert inside.all()
    assert known.all()
    assert torch.equal(counts, reference.histogram(maps, masks, edges))


@pytest.mark.parametrize("count", [1, 2, 3, 1000])
@pytest.mark.parametrize("at", [0, 64, 149])
def test_histograms_report_scores_outside(at, count, instruction_set):  # noqa: ARG001
    edges = torch.from_numpy(np.append(np.arange(0, 1, 1 / count), [1.0, 2, 3]))
    maps = torch.rand(7, 1, 150, generator=torch.Generator().manual_seed(0)).double()
    maps[:, 0, at] = torch.tensor([np.nan, np.nextafter(1, 2), 1e300, -1e-300, -np.inf, -0.0, 1]).double()
    masks = torch.ones(maps.shape, dtype=torch.uint8)
    _, inside, known = score_histogram(maps, masks, edges, False)
    assert inside.tolist() == [False, False, False, False, False, True, True]
    assert known.all()
    counts, _, _ = score_histogram(maps[5:], masks[5:], edges, False)
    assert torch.equal(counts, reference.histogram(maps[5:], masks[5:], edges))


def test_histograms_of_raw_maps_and_of_many_threads(restored_threads):  # noqa: ARG001
    maps = raw_maps((14, 14)).repeat(20, 1, 1)
    masks = torch.randint(0, 2, (len(maps), 50, 70), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    edges = torch.from_numpy(np.append(np.arange(0, 1, 0.01), [1.0, 2, 3]))
    wanted = reference.histogram(reference.normalized(reference.resized(maps.double(), (50, 70))), masks, edges)
    for threads in (1, 3):
        torch.set_num_threads(threads)
        counts, _, _ = score_histogram(maps, masks, edges, True)
        assert torch.equal(counts, wanted)


@pytest.mark.parametrize("pixels", [20, 64, 150])
def test_masks_of_other_values_are_reported(pixels):
    masks = torch.randint(0, 2, (5, 1, pixels), dtype=torch.uint8)
    masks[1, 0, 3], masks[2, 0, -1], masks[3, 0, 7] = 2, 254, 255
    edges = torch.tensor([0, 0.5, 1, 2, 3]).double()
    _, inside, known = score_histogram(torch.rand(5, 1, pixels), masks, edges, False)
    assert inside.all()
    assert known.tolist() == [True, False, False, True, True]


def test_strides_change_nothing():
    maps = torch.rand(3, 8, 10, generator=torch.Generator().manual_seed(1))
    strided = maps.transpose(1, 2).contiguous().transpose(1, 2)
    for size, raw in (((8, 10), False), ((30, 20), True)):
        for a, b in zip(score_levels(maps, *size, raw), score_levels(strided, *size, raw), strict=True):
            assert torch.equal(a, b)


def test_opcheck():
    maps, masks = torch.rand(2, 4, 5), torch.ones(2, 4, 5, dtype=torch.uint8)
    torch.library.opcheck(score_levels, (maps, 8, 9, True))
    torch.library.opcheck(score_levels, (maps, 4, 5, False))
    torch.library.opcheck(score_histogram, (maps, masks, torch.tensor([0, 0.5, 1, 2, 3]).double(), False))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("low", "span"), [(0.0, 1.0), (-3.7, 0.013), (1e-3, 1e6), (0.0, 1e-310), (5.0, 255.0)])
def test_levels_are_right_where_255_times_a_score_is_almost_whole(dtype, low, span, instruction_set):  # noqa: ARG001
    """The quotient is rounded before it is multiplied: next to a whole number every rounding counts."""
    exact = low + span * np.arange(256) / 255
    near = np.concatenate([exact, np.nextafter(exact, -np.inf), np.nextafter(exact, np.inf)]).clip(low, low + span)
    maps = torch.from_numpy(np.resize(near, (1, 29, 31))).to(dtype)
    wide = maps.numpy().astype(np.float64)
    found = wide.max() - wide.min()  # 0 where the span is too small for float32
    wanted = ((wide - wide.min()) / (found or np.inf) * 255).astype(np.uint8)
    levels, inside = score_levels(maps, 29, 31, True)
    assert inside.all()
    assert np.array_equal(levels.numpy(), wanted)
