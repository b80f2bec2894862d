"""The operator of the largest component, packing, and the promises that PyTorch's machinery relies on."""

from __future__ import annotations

import pytest
import torch
from cases import MASK_WIDTHS, adversarial_masks, random_masks

from fastcam.ops.regions import all_regions, largest, pack, unpack
from fastcam.reference import components as reference

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def masks_of(height, width):
    masks = {**adversarial_masks(height, width), **random_masks(height, width, 0)}
    return torch.stack([torch.from_numpy(mask) for mask in masks.values()])


@pytest.mark.parametrize("width", MASK_WIDTHS)
def test_unpack_is_the_inverse_of_pack(width):
    masks = masks_of(6, width)
    words = pack(masks)
    assert words.shape == (*masks.shape[:2], -(-width // 64))
    assert words.dtype == torch.int64
    assert torch.equal(unpack(words, width), masks)


@pytest.mark.parametrize("width", MASK_WIDTHS)
def test_a_pixel_is_the_bit_of_its_number_and_the_bits_beyond_are_zero(width):
    for x in range(width):
        row = torch.zeros(1, width, dtype=torch.bool)
        row[0, x] = True
        words = [int(word) % 2**64 for word in pack(row)[0]]
        assert words == [1 << x % 64 if k == x // 64 else 0 for k in range(len(words))]


def test_any_byte_but_zero_packs_as_one():
    row = torch.tensor([[0, 1, 2, 128, 255, 0]], dtype=torch.uint8)
    assert pack(row).item() == 0b011110


@pytest.mark.parametrize("polygon", [False, True])
@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("width", MASK_WIDTHS)
def test_packed_and_plain_masks_have_the_same_regions(width, connectivity, polygon, instruction_set):  # noqa: ARG001
    masks = masks_of(11, width)
    plain, words = masks.to(torch.uint8), pack(masks)
    for operator in (largest, all_regions):
        found = operator(plain, width, polygon, connectivity)
        assert all(map(torch.equal, found, operator(words, width, polygon, connectivity)))
        assert found[1].dtype == (torch.float64 if polygon else torch.int64)


@pytest.mark.parametrize("polygon", [False, True])
@pytest.mark.parametrize("connectivity", [4, 8])
def test_regions_are_those_of_the_reference(connectivity, polygon):
    masks = masks_of(7, 40)
    boxes, areas = largest(masks.to(torch.uint8), 40, polygon, connectivity)
    for mask, box, area in zip(masks.numpy(), boxes.tolist(), areas.tolist(), strict=True):
        wanted = reference.largest(mask, "polygon" if polygon else "pixels", connectivity)
        if wanted is None:
            assert (box, area) == ([0, 0, 0, 0], 0)
        else:
            assert box == [wanted.x0, wanted.y0, wanted.x1, wanted.y1]
            assert area == (wanted.polygon if polygon else wanted.pixels)


@pytest.mark.parametrize("width", [1, 63, 65, 100, 127])
def test_the_bits_beyond_the_width_are_not_read(width, instruction_set):  # noqa: ARG001
    masks = masks_of(7, width)
    words = pack(masks)
    dirty = words.clone()
    dirty[..., -1] |= -1 << width % 64
    assert not torch.equal(dirty, words)
    for polygon in (False, True):
        for operator in (largest, all_regions):
            found = operator(dirty, width, polygon, 8)
            assert all(map(torch.equal, found, operator(words, width, polygon, 8)))
    assert torch.equal(unpack(dirty, width), masks)


@pytest.mark.parametrize("polygon", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_the_operator_keeps_what_it_promised_pytorch(packed, polygon):
    masks = masks_of(5, 70)
    given = pack(masks) if packed else masks.to(torch.uint8)
    torch.library.opcheck(largest, (given, 70, polygon, 8))
    torch.library.opcheck(largest, (given[::2], 70, polygon, 4))


@pytest.mark.parametrize("polygon", [False, True])
def test_the_number_of_threads_changes_nothing(polygon, restored_threads):  # noqa: ARG001
    masks = torch.cat([masks_of(60, 100)] * 20).to(torch.uint8)
    results = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        results.append(largest(masks, 100, polygon, 8) + all_regions(masks, 100, polygon, 8))
    for result in results[1:]:
        assert all(map(torch.equal, results[0], result))
