"""Packing masks, and the operator from maps to packed masks: what PyTorch requires of it."""

from __future__ import annotations

import pytest
import torch
from cases import MASK_WIDTHS, adversarial_masks, heat_maps, random_masks

from fastcam import PAPER
from fastcam.ops.masks import binarize, pack, unpack

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


@pytest.mark.parametrize("width", [1, 63, 65, 100, 127])
def test_unpack_does_not_read_the_bits_beyond_the_width(width):
    masks = masks_of(7, width)
    words = pack(masks)
    words[..., -1] |= -1 << width % 64
    assert torch.equal(unpack(words, width), masks)


@pytest.mark.parametrize("with_maps", [False, True])
@pytest.mark.parametrize("quantize", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_binarize_keeps_what_it_promised_pytorch(dtype, quantize, with_maps):
    maps = torch.stack(list(heat_maps(4, 5).values())).clamp(-100, 100).to(dtype)
    values = PAPER.replace(quantize=quantize).values
    for some in (maps, maps.transpose(1, 2), maps[::2]):
        torch.library.opcheck(binarize, (some, 9, 70, *values, with_maps))
