"""A call goes past PyTorch's dispatcher only where nobody can tell: nothing traces, transforms or watches it."""

import contextlib

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import fastcam
from fastcam.ops.eager import is_eager

pytest.importorskip("fastcam._C")


class _Seen(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


class _Function(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "around",
    [contextlib.nullcontext, torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu")],
    ids=["nothing", "no_grad", "inference_mode", "autocast"],
)
def test_a_plain_call(around):
    with around():
        assert is_eager(torch.rand(3), None, torch.rand(2).detach())


@pytest.mark.parametrize(
    "around",
    [FakeTensorMode, _Seen, _Function, lambda: torch.device("cpu"), torch.profiler.profile],
    ids=["FakeTensorMode", "dispatch mode", "function mode", "default device", "profiler"],
)
def test_a_call_that_is_watched(around):
    given = torch.rand(3)
    with around():
        assert not is_eager(given)
    assert is_eager(given)


@pytest.mark.parametrize(
    "given", [torch.rand(3, device="meta"), torch.nn.Parameter(torch.rand(3))], ids=["meta", "a subclass"]
)
def test_no_plain_tensor(given):
    assert not is_eager(torch.rand(1), given)


def _seen_by(transform):
    seen = []

    def function(x):
        seen.append(is_eager(x))
        return x * 2

    transform(function)
    return seen


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # PyTorch's own use of it, by jvp
@pytest.mark.parametrize(
    "transform",
    [
        lambda function: torch.vmap(function)(torch.rand(3)),
        lambda function: torch.func.grad(lambda x: function(x).sum())(torch.rand(3)),
        lambda function: torch.func.jvp(function, (torch.rand(3),), (torch.rand(3),)),
        lambda function: torch.func.functionalize(function)(torch.rand(3)),
        lambda function: torch.jit.trace(function, torch.rand(3), check_trace=False),
        lambda function: torch.export.export(_Module(function), (torch.rand(3),), strict=False),
    ],
    ids=["vmap", "grad", "jvp", "functionalize", "jit.trace", "export"],
)
def test_a_call_that_is_transformed(transform):
    seen = _seen_by(transform)
    assert seen
    assert not any(seen)


class _Module(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def test_a_mode_sees_the_operators_and_the_results_are_the_same():
    features, weight, index = torch.rand(2, 3, 5, 5), torch.rand(4, 3), torch.tensor([1, 3])
    masks = torch.rand(2, 9, 9) > 0.5
    plain = fastcam.localize(features, weight, index, size=(20, 31)), fastcam.boxes_from_masks(masks)
    with _Seen() as seen:
        watched = fastcam.localize(features, weight, index, size=(20, 31)), fastcam.boxes_from_masks(masks)
    names = {name.split(".")[1] for name in seen.names if name.startswith("fastcam")}
    assert {"in_range", "localize", "largest"} <= names
    for found, expected in zip(watched, plain, strict=True):
        assert torch.equal(found.boxes, expected.boxes)
        assert torch.equal(found.areas, expected.areas)


@pytest.mark.parametrize("count", [1, 64, 65, 1000])
def test_classes_out_of_range_are_refused_by_number(count):
    features, weight = torch.rand(count, 1, 1, 1), torch.rand(5, 1)
    for wrong in (-1, 5):
        index = torch.zeros(count, dtype=torch.int64)
        index[-1] = wrong
        with pytest.raises(ValueError, match=rf"index must lie in \[0, 5\), got {wrong}"):
            fastcam.localize(features, weight, index, size=(1, 1))
