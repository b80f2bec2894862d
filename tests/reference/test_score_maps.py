"""The definition of how evaluators make and read score maps, against OpenCV and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sweep_peers import levels_of as peer_levels
from sweep_peers import normalized as peer_normalized
from sweep_peers import pixels

from fastcam.reference.score_maps import histogram, normalized, resized, to_levels

SIZES = [((14, 14), (224, 224)), ((7, 7), (224, 224)), ((28, 28), (60, 90)), ((13, 9), (100, 77)), ((60, 40), (28, 31))]
DEGENERATE = [((1, 1), (5, 4)), ((3, 1), (9, 8)), ((2, 5), (1, 1)), ((6, 6), (6, 6))]


@pytest.mark.parametrize(("source", "size"), SIZES + DEGENERATE, ids=str)
def test_levels_are_those_of_opencv(source, size):
    maps = np.random.default_rng(0).standard_normal((8, *source)).astype(np.float32)
    full = normalized(resized(torch.from_numpy(maps).double(), size))
    theirs = np.stack([peer_normalized(one, size) for one in maps])
    # A build of OpenCV that fuses additions may differ in the last bit, and then seldom in a level.
    np.testing.assert_allclose(full.numpy(), theirs, rtol=0, atol=1e-12)
    different = to_levels(full).numpy().astype(int) - peer_levels(theirs)
    assert abs(different).max() <= 1
    assert np.count_nonzero(different) <= 1e-4 * different.size


@pytest.mark.parametrize("value", [0.0, 0.3, -2.0, np.nan, np.inf, -np.inf])
def test_a_map_without_a_range_is_zeros(value):
    constant = torch.full((1, 3, 4), value, dtype=torch.float64)
    spoiled = torch.arange(12, dtype=torch.float64).reshape(1, 3, 4)
    spoiled[0, 1, 1] = value
    assert normalized(constant).eq(0).all()
    assert normalized(spoiled).eq(0).all() == (not np.isfinite(value))


def test_normalizing_leaves_zero_and_one():
    maps = torch.tensor([[[-1.0, 0, 1, 2], [3, 4, 5, 10]]], dtype=torch.float64)
    assert normalized(maps).flatten().tolist() == [k / 11 for k in (0, 1, 2, 3, 4, 5, 6, 11)]


@pytest.mark.parametrize("count", [1, 2, 3, 10, 49, 100, 1000])
def test_histograms_are_those_of_numpy(count):
    thresholds = np.arange(0, 1, 1 / count)
    rng = np.random.default_rng(count)
    on_edges = np.concatenate([thresholds, np.nextafter(thresholds, 2), np.nextafter(thresholds, 0), [1.0]]).clip(0, 1)
    scores = np.concatenate([on_edges, rng.random(500)])
    mask = rng.choice([0, 1, 255], scores.shape).astype(np.uint8)
    edges = torch.from_numpy(np.append(thresholds, [1.0, 2, 3]))
    found = histogram(torch.from_numpy(scores)[None, None], torch.from_numpy(mask)[None, None], edges)
    assert (found.numpy() == pixels(scores, mask, thresholds)).all()
