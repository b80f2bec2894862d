"""Layouts of features: views, grids of tokens."""

import pytest
import torch

from fastcam.extractors.layout import Layout, grid, possible_layouts

MAPS = torch.arange(2 * 3 * 4 * 6.0).reshape(2, 3, 4, 6)


@pytest.mark.parametrize(
    ("layout", "tensor"),
    [
        (Layout(4, 1), MAPS),
        (Layout(4, 3), MAPS.permute(0, 2, 3, 1).contiguous()),
        (Layout(3, 2), MAPS.flatten(2).transpose(1, 2).contiguous()),
        (Layout(3, 1), MAPS.flatten(2)),
        (Layout(3, 2, 2), torch.cat([torch.full((2, 2, 3), -1.0), MAPS.flatten(2).transpose(1, 2)], 1)),
        (Layout(3, 1, 1), torch.cat([torch.full((2, 3, 1), -1.0), MAPS.flatten(2)], 2)),
    ],
)
def test_every_layout_gives_the_same_maps_without_a_copy(layout: Layout, tensor: torch.Tensor) -> None:
    planes = layout.planes(tensor, (64, 96))
    assert planes.equal(MAPS)
    assert layout.flat(tensor).equal(MAPS.flatten(2))
    assert planes.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()
    assert layout in possible_layouts(tensor, 3, 24)


@pytest.mark.parametrize(
    ("tokens", "size", "expected"),
    [
        (196, (224, 224), (14, 14)),
        (280, (224, 320), (14, 20)),
        (280, (320, 224), (20, 14)),
        (1, (7, 9), (1, 1)),
        (12, (100, 110), (3, 4)),
        (10, (32, 1600), (1, 10)),
    ],
)
def test_grids_have_the_aspect_of_the_picture(tokens: int, size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert grid(tokens, size) == expected


@pytest.mark.parametrize("tokens", [0, 197, 13])
def test_what_is_no_grid_is_refused(tokens: int) -> None:
    with pytest.raises(ValueError, match=f"{tokens} tokens are no grid"):
        grid(tokens, (224, 224))
