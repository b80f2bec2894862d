"""Programs of ``torch.export`` for any number of images: one operator each, no number read while it is traced."""

import pytest
import torch
from torch import nn
from torch.export import Dim

import fastcam

X = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([1, 2, 0])
WEIGHT = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
PADDED = fastcam.PAPER.replace(keep="all", max_boxes=3)

# What is found, and in what.
WAYS = {
    "localize": (lambda x, i: fastcam.localize(x, WEIGHT, i, size=(40, 48)).boxes, (X, CLASSES)),
    "localize of several classes": (
        lambda x, i: fastcam.localize(x, WEIGHT, i, size=(40, 48)).boxes, (X, torch.stack([CLASSES, CLASSES], 1)),
    ),
    "localize_padded": (
        lambda x, i: fastcam.localize_padded(x, WEIGHT, i, size=(40, 48), protocol=PADDED).boxes, (X, CLASSES),
    ),
    "boxes_from_maps": (lambda x: fastcam.boxes_from_maps(x, size=(40, 48)).boxes, (X[:, 0].clone(),)),
    "boxes_from_maps of their own size": (lambda x: fastcam.boxes_from_maps(x).boxes, (X[:, 0].clone(),)),
    "padded_boxes_from_maps": (
        lambda x: fastcam.padded_boxes_from_maps(x, size=(40, 48), protocol=PADDED).boxes, (X[:, 0].clone(),),
    ),
    "boxes_from_masks": (lambda x: fastcam.boxes_from_masks(x).boxes, (X[:, 0] > 0,)),
}  # fmt: skip


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *tensors):
        return self.function(*tensors)


@pytest.mark.parametrize("name", WAYS)
def test_the_batch_stays_symbolic(name):
    function, given = WAYS[name]
    shapes = (tuple({0: Dim("batch")} for _ in given),)
    program = torch.export.export(Calls(function), given, dynamic_shapes=shapes)
    assert not any("item" in str(node.target).split(".")[1:] for node in program.graph.nodes if node.op != "output")
    for count in (1, 3, 7):
        some = tuple(part.repeat(3, *[1] * (part.ndim - 1))[:count] for part in given)
        assert torch.equal(program.module()(*some), function(*some))
