"""Masks with bits where they have no pixels, and with more pixels than an int counts."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from cases import random_masks

import fastcam
from fastcam.ops.components import all_components, largest

ALTERNATING = 0x5555555555555555


@pytest.mark.parametrize("width", [1, 63, 65, 100, 127, 129, 191, 193, 300])
@pytest.mark.parametrize("rows", [2, 40, 300])
@pytest.mark.parametrize("kind", ["empty", "noise 0.1", "noise 0.5"])
def test_bits_beyond_the_width_are_not_read(kind, rows, width, instruction_set):  # noqa: ARG001
    mask = random_masks(rows, width, 0).get(kind, np.zeros((rows, width), bool))
    clean = fastcam.PackedMasks.pack(mask)
    for pattern, (area, connectivity), keep in product(
        (-1, ALTERNATING), product(("pixels", "polygon"), (4, 8)), ("largest", "all")
    ):
        bits = clean.bits.clone()
        bits[..., -1] |= torch.tensor(pattern) << (width % 64)
        dirty = fastcam.PackedMasks(bits, clean.size)
        options = {"keep": keep, "area": area, "connectivity": connectivity}
        found, right = (fastcam.boxes_from_masks(masks, **options) for masks in (dirty, clean))
        assert found.boxes.equal(right.boxes)
        assert found.areas.equal(right.areas)
        if kind == "empty":
            assert found.boxes.count_nonzero() == found.areas.count_nonzero() == 0


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("connectivity", [4, 8])
def test_empty_masks_in_strips_have_the_empty_region(connectivity, count, restored_threads):  # noqa: ARG001
    torch.set_num_threads(count)
    bits = torch.zeros((1, 80_000, 2), dtype=torch.int64)
    bits[..., 1] = ALTERNATING << 36 & 2**62 - 1
    found = fastcam.boxes_from_masks(fastcam.PackedMasks(bits, (80_000, 100)), connectivity=connectivity)
    assert found.boxes.tolist() == [[0, 0, 0, 0]]
    assert found.areas.tolist() == [0]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("runs", [1, 735])
@pytest.mark.parametrize("connectivity", [4, 8])
def test_a_component_of_more_pixels_than_an_int_holds(connectivity, runs, count, restored_threads):  # noqa: ARG001
    # 47,000 rows of 735 words, whole or with a gap in every word below the first row: 276 MB.
    torch.set_num_threads(count)
    side = 47_040
    bits = torch.full((1, side, side // 64), -1 if runs == 1 else -2)
    bits[0, 0] = -1
    pixels = side * side - (0 if runs == 1 else (side - 1) * side // 64)
    assert pixels > 2**31
    for found in (largest, all_components):
        boxes, areas = found(bits, side, "pixels", connectivity)[:2]
        assert boxes.tolist() == [[0, 0, side, side]]
        assert areas.tolist() == [pixels]
