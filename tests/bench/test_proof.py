"""Whether the test of where features change tells right positions from wrong ones."""

from __future__ import annotations

import pytest
import torch
from proof import corners, local_convolutions, moves, places
from torch import Tensor, nn

SIZE = (96, 128)


class Net(nn.Module):
    """Many convolutions that mix positions, and a gate that answers to all of them."""

    def __init__(self, turn: tuple[int, ...] = (), *, local: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers = [nn.Sequential(nn.Conv2d(8, 8, 9, padding=4), nn.ReLU()) for _ in range(6)]
        self.body = nn.Sequential(nn.Conv2d(3, 8, 16, 16), *layers)
        self.gate = nn.Linear(8, 8)
        self.turn, self.local = turn, local

    def forward(self, images: Tensor) -> Tensor:
        features = self.body(images)
        everywhere = features.mean((2, 3), keepdim=True)
        features = features * self.gate(everywhere.flatten(1)).sigmoid()[:, :, None, None]
        features = features.flip(self.turn) if self.turn else features
        return features if self.local else everywhere.expand_as(features)


@torch.no_grad()
def said(model: nn.Module) -> str:
    local_convolutions(model)
    return places([moves(model(corners(SIZE, seed))) for seed in range(4)])


@pytest.mark.parametrize(
    ("turn", "answer"), [((), "agree"), ((2,), "contradict"), ((3,), "contradict"), ((2, 3), "contradict")]
)
def test_the_order_of_positions(turn: tuple[int, ...], answer: str) -> None:
    assert said(Net(turn)) == answer


def test_a_grid_that_is_read_by_the_wrong_aspect() -> None:
    maps = Net()
    local_convolutions(maps)
    with torch.no_grad():
        several = [maps(corners(SIZE, seed)) for seed in range(4)]
    transposed = [one.transpose(2, 3).flip(3) for one in several]
    assert places(map(moves, several)) == "agree"
    assert places(map(moves, transposed)) == "contradict"


def test_a_change_that_is_the_same_everywhere_says_nothing() -> None:
    assert said(Net(local=False)) == "unclear"


def test_kernels_keep_their_middle_and_their_size() -> None:
    model = Net()
    before = model.body[1][0].weight.clone()
    local_convolutions(model)
    after = model.body[1][0].weight
    assert torch.equal(after[:, :, 4, 4], before[:, :, 4, 4] * 9)
    assert int(after.count_nonzero()) == 64
    cut = Net().body[0].weight
    assert torch.equal(model.body[0].weight, cut)
