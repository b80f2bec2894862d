import numpy as np
import pytest

from fastcam.reproduce.statistics import paired_difference, spread_over_seeds


def test_spread_by_hand():
    hits = np.array([[1, 1, 0, 0], [1, 1, 1, 0]], bool)
    mean, std = spread_over_seeds(hits)
    assert mean == 0.625
    assert std == pytest.approx(np.std([0.5, 0.75], ddof=1))
    assert spread_over_seeds(hits[:1]) == (0.5, 0.0)


def test_the_interval_is_that_of_the_mean():
    draw = np.random.default_rng(0)
    row, baseline = draw.random((5, 400)) < 0.6, draw.random((5, 400)) < 0.5
    difference = paired_difference(row, baseline)
    each = row.mean(0) - baseline.mean(0)
    half = 1.96 * each.std() / 20
    assert difference.mean == pytest.approx(each.mean())
    assert difference.low == pytest.approx(each.mean() - half, abs=half / 10)
    assert difference.high == pytest.approx(each.mean() + half, abs=half / 10)


def test_pairing_resolves_what_two_samples_would_not():
    draw = np.random.default_rng(1)
    baseline = draw.random((1, 200)) < 0.5
    row = baseline.copy()
    row[0, np.flatnonzero(~baseline[0])[:8]] = True  # 4 points more, on 200 images
    assert paired_difference(row, baseline).resolved
    assert not paired_difference(draw.permutation(row, axis=1), baseline).resolved


def test_a_worse_row_is_resolved_too():
    difference = paired_difference(np.zeros((1, 50), bool), np.ones((1, 50), bool))
    assert difference.resolved
    assert difference.high < 0
