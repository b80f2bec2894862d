"""The largest component and all of them against the reference, and what PyTorch requires of an operator."""

from __future__ import annotations

import pytest
import torch
from cases import MASK_WIDTHS, adversarial_masks, random_masks

from fastcam.ops.components import all_components, largest
from fastcam.ops.masks import pack
from fastcam.reference import components as reference

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def masks_of(height, width):
    masks = {**adversarial_masks(height, width), **random_masks(height, width, 0)}
    return torch.stack([torch.from_numpy(mask) for mask in masks.values()])


@pytest.mark.parametrize("area", ["pixels", "polygon"])
@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("width", MASK_WIDTHS)
def test_packed_and_plain_masks_have_the_same_components(width, connectivity, area, instruction_set):  # noqa: ARG001
    masks = masks_of(11, width)
    plain, words = masks.to(torch.uint8), pack(masks)
    for operator in (largest, all_components):
        found = operator(plain, width, area, connectivity)
        assert all(map(torch.equal, found, operator(words, width, area, connectivity)))
        assert found[1].dtype == (torch.float64 if area == "polygon" else torch.int64)


@pytest.mark.parametrize("area", ["pixels", "polygon"])
@pytest.mark.parametrize("connectivity", [4, 8])
def test_components_are_those_of_the_reference(connectivity, area):
    masks = masks_of(7, 40)
    boxes, areas = largest(masks.to(torch.uint8), 40, area, connectivity)
    for mask, box, found in zip(masks.numpy(), boxes.tolist(), areas.tolist(), strict=True):
        wanted = reference.largest(mask, area, connectivity)
        if wanted is None:
            assert (box, found) == ([0, 0, 0, 0], 0)
        else:
            assert box == [wanted.x0, wanted.y0, wanted.x1, wanted.y1]
            assert found == (wanted.polygon if area == "polygon" else wanted.pixels)


@pytest.mark.parametrize("width", [1, 63, 65, 100, 127])
def test_the_bits_beyond_the_width_are_not_read(width, instruction_set):  # noqa: ARG001
    masks = masks_of(7, width)
    words = pack(masks)
    dirty = words.clone()
    dirty[..., -1] |= -1 << width % 64
    assert not torch.equal(dirty, words)
    for area in ("pixels", "polygon"):
        for operator in (largest, all_components):
            found = operator(dirty, width, area, 8)
            assert all(map(torch.equal, found, operator(words, width, area, 8)))


@pytest.mark.parametrize("area", ["pixels", "polygon"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["largest", "largest_waiting"])
def test_the_operators_keep_what_they_promised_pytorch(name, packed, area):
    masks = masks_of(5, 70)
    given = pack(masks) if packed else masks.to(torch.uint8)
    operator = getattr(torch.ops.fastcam, name).default
    torch.library.opcheck(operator, (given, 70, area, 8))
    torch.library.opcheck(operator, (given[::2], 70, area, 4))


@pytest.mark.parametrize("area", ["pixels", "polygon"])
def test_the_number_of_threads_changes_nothing(area, restored_threads):  # noqa: ARG001
    masks = torch.cat([masks_of(60, 100)] * 20).to(torch.uint8)
    results = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        results.append(largest(masks, 100, area, 8) + all_components(masks, 100, area, 8))
    for result in results[1:]:
        assert all(map(torch.equal, results[0], result))
