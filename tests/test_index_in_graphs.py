"""An index stays in a graph: ``localize`` and ``cam`` compile whole and export for any batch, and check its range.

The right values are those of the plain call, which other tests hold against PyTorch's own sums.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fastcam


class Found(nn.Module):
    """Boxes, areas and a map of the classes asked for."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 6, 3), nn.Linear(6, 7)

    def forward(self, images, index):
        features = self.conv(images).relu()
        found = fastcam.localize(features, self.fc.weight, index, size=(16, 17))
        return found.boxes, found.areas, fastcam.cam(features, self.fc.weight, index)


INDICES = {
    "one an image": lambda n: torch.arange(n) % 7,
    "some an image": lambda n: torch.arange(2 * n).reshape(n, 2) % 7,
    "int32": lambda n: torch.arange(n, dtype=torch.int32) % 7,
}


@pytest.fixture(params=INDICES)
def index_of(request):
    return INDICES[request.param]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Found().eval()


def images(n):
    return torch.rand(n, 3, 9, 8, generator=torch.Generator().manual_seed(n))


def assert_equal(found, wanted):
    assert all(map(torch.equal, found, wanted))


def assert_refuses(graph, index_of):
    for bad in (7, -1):
        index = index_of(3).clone()
        index[1] = bad
        with pytest.raises(ValueError, match=rf"index must lie in \[0, 7\), got {bad}"):
            graph(images(3), index)


def test_it_compiles_whole(model, index_of):
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    assert_equal(compiled(images(3), index_of(3)), model(images(3), index_of(3)))
    assert_refuses(compiled, index_of)


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "not strict"])
def test_it_exports_for_any_batch(model, index_of, strict):
    batch = torch.export.Dim("batch", min=1, max=64)
    arguments = images(3), index_of(3)
    program = torch.export.export(model, arguments, dynamic_shapes=({0: batch}, {0: batch}), strict=strict)
    for n in (1, 3, 8):
        assert_equal(program.module()(images(n), index_of(n)), model(images(n), index_of(n)))
    assert_refuses(program.module(), index_of)


@pytest.mark.parametrize("index", [2, [0, 6, 3]], ids=str)
def test_classes_that_are_known_beforehand_compile_too(model, index):
    compiled = torch.compile(lambda x: model(x, index), backend="aot_eager", fullgraph=True)
    assert_equal(compiled(images(3)), model(images(3), index))


@pytest.mark.filterwarnings("ignore:.torch.jit.:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # that shapes are compared
def test_it_is_traced_with_its_check(model):
    traced = torch.jit.trace(model, (images(3), INDICES["one an image"](3)), check_trace=False)
    assert "in_range" in str(traced.inlined_graph)


def test_what_pytorch_requires_of_the_operator():
    for index in (torch.tensor([0, 3]), torch.tensor([[0, 3], [1, 1]]), torch.zeros(0, dtype=torch.int64)):
        torch.library.opcheck(torch.ops.fastcam.in_range.default, (index, 4))
