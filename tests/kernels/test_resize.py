"""Resizing in the kernels: every kind of it against the reference, and the tables that the host makes for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import RESIZES, heat_maps
from fastcam.kernels import resize

from fastcam import PAPER


@pytest.mark.parametrize(("source", "size"), RESIZES[1:6] + RESIZES[8:9] + RESIZES[11:], ids=str)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_every_kind_of_resize(interpolation, source, size, device, assert_binarizes_as_reference):
    kinds = heat_maps(*source)
    maps = torch.stack([kinds[name] for name in ("smooth", "rectified", "one peak")]).to(device)
    assert_binarizes_as_reference(maps, size, PAPER.replace(interpolation=interpolation))


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
