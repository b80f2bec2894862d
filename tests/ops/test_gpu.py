"""What runs on CUDA tensors, as far as that shows without a GPU: the choice, and the operators with their kernels."""

from __future__ import annotations

import sys
import warnings

import pytest
import torch
from cases import LAYOUTS, heat_maps
from torch.utils._python_dispatch import TorchDispatchMode

import fastcam
from fastcam import PAPER
from fastcam.ops import gpu, masks
from fastcam.ops.activation import cam
from fastcam.ops.localization import locate
from fastcam.ops.masks import binarize
from fastcam.ops.pooling import tap
from fastcam.reference import activation, pooling

tap_keeping, tap_spread = torch.ops.fastcam.tap_keeping.default, torch.ops.fastcam.tap_spread.default

CUDA = torch.device("cuda", 0)


@pytest.fixture(autouse=True)
def _asked_anew():
    gpu.kernels_run_on.cache_clear()
    yield
    gpu.kernels_run_on.cache_clear()


@pytest.fixture
def capability(monkeypatch):
    pytest.importorskip("triton")

    def choose(*version):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: version)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")

    return choose


def test_a_gpu_of_today_runs_the_kernels(capability):
    capability(9, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gpu.kernels_run_on(CUDA)


def test_an_old_gpu_is_named_once(capability):
    capability(7, 5)  # CUDA runs there, Triton compiles nothing for it
    with pytest.warns(RuntimeWarning, match="plain PyTorch on cuda:0, .* Tesla T4 is sm_75, and they need sm_80"):
        assert not gpu.kernels_run_on(CUDA)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not gpu.kernels_run_on(CUDA)


def test_without_triton_the_reference_runs_and_says_so_once(implementation, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("fastcam.kernels.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "triton", None)
    x = torch.randn(2, 3, 4, 4)
    with pytest.warns(RuntimeWarning, match="triton cannot be imported .*: pip install triton"):
        assert torch.equal(implementation("tap", "CUDA")(x, 0.1), pooling.tap_forward(x, 0.1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keeping = implementation("tap_keeping", "CUDA")(x, 0.1)
        for found, wanted in zip(keeping, pooling.tap_keeping(x, 0.1), strict=True):
            assert torch.equal(found, wanted)
        maps = implementation("cam", "CUDA")(x, torch.ones(3, 3), torch.tensor([0, 1]), True)
        assert maps.shape == (2, 4, 4)
        assert implementation("binarize", "CUDA")(x[:, 0], 8, 8, *PAPER.values, True)[2].shape == (2, 8, 8)


def test_float64_and_nothing_at_all_go_to_the_reference(implementation, monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)  # nothing asks for it
    tap_on_cuda = implementation("tap", "CUDA")
    assert tap_on_cuda(torch.ones(1, 1, 2, 2, dtype=torch.float64), 0.1).tolist() == [[1]]
    assert tap_on_cuda(torch.ones(0, 3, 2, 2), 0.1).shape == (0, 3)
    maps = implementation("cam", "CUDA")(torch.ones(0, 3, 2, 2), torch.ones(5, 3), torch.zeros(0).long(), True)
    assert maps.shape == (0, 2, 2)
    packed, *_ = implementation("binarize", "CUDA")(torch.ones(0, 3, 3), 8, 8, *PAPER.values, False)
    assert packed.shape == (0, 8, 1)


def test_offsets_of_more_than_32_bits_are_not_for_the_kernels(implementation, monkeypatch):
    monkeypatch.setattr(masks, "kernels_run_on", lambda _: pytest.fail("the kernels' offsets have 32 bits"))
    monkeypatch.setattr(masks, "_any_device", lambda *_: "the reference")
    tall = torch.zeros(1, 1, 1).expand(1, 2**25, 1)
    assert implementation("binarize", "CUDA")(tall, 1, 64, *PAPER.values, False) == "the reference"


@pytest.mark.skipif(not hasattr(torch.Tag, "cudagraph_unsafe"), reason="PyTorch has no such tag")
def test_what_the_host_waits_for_is_kept_out_of_cuda_graphs():
    found = {
        name: torch.Tag.cudagraph_unsafe in operator.tags
        for name in torch._C._dispatch_get_all_op_names()
        for namespace, _, name in [name.partition("::")]
        if namespace == "fastcam"
        for operator in [getattr(torch.ops.fastcam, name).default]
    }
    captured = {"tap", "tap_keeping", "tap_spread", "tap_forward", "tap_backward", "cam", "binarize", "in_range"}
    captured |= {"largest", "locate", "localize", "locate_padded"}
    assert {name for name, unsafe in found.items() if not unsafe} == captured


@pytest.mark.skipif(not hasattr(torch.Tag, "cudagraph_unsafe"), reason="PyTorch has no such tag")
@pytest.mark.parametrize(
    ("fields", "size", "waits"),
    [
        ({}, (20, 30), False),
        ({"threshold": "otsu"}, (20, 30), False),
        ({}, (1024, 1024), False),
        ({}, (1024, 1025), True),
        ({}, (40000, 1), True),
        ({"threshold": "stable"}, (20, 30), True),
        ({"high_threshold": 0.9}, (20, 30), True),
    ],
    ids=str,
)
def test_who_waits_says_so(fields, size, waits):
    operators = []

    class Called(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func.namespace == "fastcam":
                operators.append(func)
            return func(*args, **(kwargs or {}))

    protocol = PAPER.replace(**fields)
    with Called():
        fastcam.localize(torch.ones(1, 2, 3, 3), torch.ones(1, 2), size=size, protocol=protocol)
        fastcam.boxes_from_maps(torch.ones(1, 3, 3), size=size, protocol=protocol)
        if not fields:
            fastcam.boxes_from_masks(torch.ones(1, *size, dtype=torch.bool))
    assert len(operators) == (2 if fields else 3)
    assert [torch.Tag.cudagraph_unsafe in operator.tags for operator in operators] == [waits] * len(operators)


CHECKED = ["contiguous", "channels_last", "permuted", "every other"]


# ---------------------------------------------------- the operators as on CUDA, on the CPU by the interpreter's kernels


@pytest.fixture
def kernels_on_the_cpu(implementation):
    """What is registered for CUDA runs for the CPU, in Triton's interpreter."""
    pytest.importorskip("triton")
    if torch.cuda.is_available():
        pytest.skip("the interpreter is for where there is no GPU")
    from interpreted import patch_once_a_launch

    patch_once_a_launch()
    with warnings.catch_warnings(), torch.library._scoped_library("fastcam", "IMPL") as library:
        warnings.simplefilter("ignore")  # of overriding, and NumPy's of IEEE arithmetic
        for name in ("tap", "tap_keeping", "tap_spread", "cam", "binarize"):
            library.impl(name, implementation(name, "CUDA"), "CPU", allow_override=True)
        yield


@pytest.mark.parametrize("layout", CHECKED)
def test_pooling_by_the_kernels_keeps_its_promises(layout, kernels_on_the_cpu):  # noqa: ARG001
    x = LAYOUTS[layout](torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(fastcam.tap(x, 0.1), pooling.tap_forward(x, 0.1)[0])
    torch.library.opcheck(tap, (x, 0.1))
    pooled, divisor, kept = tap_keeping(x, 0.1)
    torch.library.opcheck(tap_keeping, (x, 0.1))
    last = layout == "channels_last"
    torch.library.opcheck(tap_spread, (pooled, divisor, kept, 4, 5, last))
    expanded = torch.ones(1, 1).expand(2, 3)
    assert torch.equal(
        tap_spread(expanded, divisor, kept, 4, 5, last), tap_spread(torch.ones(2, 3), divisor, kept, 4, 5, last)
    )


@pytest.mark.parametrize("layout", CHECKED)
def test_the_map_and_the_masks_by_the_kernels_keep_their_promises(layout, kernels_on_the_cpu):  # noqa: ARG001
    features = LAYOUTS[layout](torch.randn(2, 6, 4, 5, generator=torch.Generator().manual_seed(0)))
    weight = torch.randn(7, 6, generator=torch.Generator().manual_seed(1))
    index = torch.tensor([[1, 2], [6, 6]])
    for some in (weight, weight.double(), weight.t().contiguous().t()):
        found, wanted = cam(features, some, index, True), activation.cam(features, some, index, True)
        torch.testing.assert_close(found, wanted)
    torch.library.opcheck(cam, (features, weight, index, True))
    maps = cam(features, weight, index[:, 0], True)
    torch.library.opcheck(binarize, (maps, 9, 12, *PAPER.values, True))


def test_localize_by_the_kernels_finds_what_the_core_finds(implementation, kernels_on_the_cpu):  # noqa: ARG001
    maps = torch.stack(list(heat_maps(5, 6).values()))
    wanted = implementation("binarize", "any device")(maps, 20, 31, *PAPER.values, True)
    found = binarize(maps, 20, 31, *PAPER.values, True)
    assert all(map(torch.equal, found, wanted))
    by_kernels = implementation("locate", "any device")(maps, 20, 31, *PAPER.values, True, True)
    for part, expected in zip(by_kernels, locate(maps, 20, 31, *PAPER.values, True, True), strict=True):
        torch.testing.assert_close(part, expected, rtol=0, atol=0)
