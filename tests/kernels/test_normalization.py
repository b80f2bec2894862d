"""Normalizations in the kernels from maps to packed masks, against the reference, bit for bit."""

from __future__ import annotations

import pytest
import torch
from cases import broken_maps, heat_maps

from fastcam import PAPER


@pytest.mark.parametrize("quantize", [False, True])
@pytest.mark.parametrize("normalize", ["none", "minmax", "max", "percentile"])
def test_every_normalization_also_of_broken_maps(normalize, quantize, device, assert_binarizes_as_reference):
    kinds = {**heat_maps(5, 6), **broken_maps(5, 6)}
    names = ("noise", "constant", "nan", "infinity", "all nan")
    maps = torch.stack([kinds[name] for name in names]).to(device)
    for interpolation, size, q in (("bilinear", (9, 11), 90), ("bicubic", (5, 6), 100)):
        protocol = PAPER.replace(interpolation=interpolation, normalize=normalize, quantize=quantize, percentile=q)
        assert_binarizes_as_reference(maps, size, protocol)
