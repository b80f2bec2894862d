"""What runs on CUDA tensors, as far as that shows without a GPU: the choice, and the operators with their kernels."""

from __future__ import annotations

import sys
import warnings

import pytest
import torch
from cases import LAYOUTS, heat_maps

import fastcam
from fastcam.ops import activation, gpu, masks, pooling
from fastcam.reference import pooling as reference

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
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla P100")

    return choose


def test_a_gpu_of_today_runs_the_kernels(capability):
    capability(9, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gpu.kernels_run_on(CUDA)


def test_an_old_gpu_is_named_once(capability):
    capability(6, 0)
    with pytest.warns(RuntimeWarning, match="plain PyTorch on cuda:0, .* Tesla P100 is sm_60, and they need sm_70"):
        assert not gpu.kernels_run_on(CUDA)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not gpu.kernels_run_on(CUDA)


def test_without_triton_the_reference_runs_and_says_so_once(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("fastcam.kernels.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "triton", None)
    x = torch.randn(2, 3, 4, 4)
    with pytest.warns(RuntimeWarning, match="triton cannot be imported .*: pip install triton"):
        assert torch.equal(pooling._cuda(x, 0.1), reference.tap_forward(x, 0.1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for found, wanted in zip(pooling._keeping_cuda(x, 0.1), reference.tap_keeping(x, 0.1), strict=True):
            assert torch.equal(found, wanted)
        weight = torch.ones(3, 3)
        assert activation._cuda(x, weight, torch.tensor([0, 1]), True).shape == (2, 4, 4)
        assert masks._cuda(x[:, 0], 8, 8, "bilinear", "none", False, 90.0, 0.35, True)[3].shape == (2, 8, 8)


def test_float64_and_nothing_at_all_go_to_the_reference(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)  # nothing asks for it
    assert pooling._cuda(torch.ones(1, 1, 2, 2, dtype=torch.float64), 0.1).tolist() == [[1]]
    assert pooling._cuda(torch.ones(0, 3, 2, 2), 0.1).shape == (0, 3)
    assert activation._cuda(torch.ones(0, 3, 2, 2), torch.ones(5, 3), torch.zeros(0).long(), True).shape == (0, 2, 2)
    assert masks._cuda(torch.ones(0, 3, 3), 8, 8, "bilinear", "none", False, 90.0, 0.35, False)[0].shape == (0, 8, 1)


# ------------------------------------------------------------------------ the bits that a gradient can be written from

tap_keeping, tap_spread = torch.ops.fastcam.tap_keeping.default, torch.ops.fastcam.tap_spread.default


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_bits_give_the_gradient_of_the_values(layout, dtype):
    x = torch.randn(2, 5, 6, 7, generator=torch.Generator().manual_seed(0)).to(dtype)
    x[0, 1, 2, 3] = torch.nan
    x = LAYOUTS[layout](x)
    pooled, cutoff, count = reference.tap_forward(x, 0.1)
    again, divisor, kept = tap_keeping(x, 0.1)
    assert again.equal(pooled) or pooled.isnan().any()
    beside = layout == "channels_last"
    assert kept.shape == ((2, 8, 5) if beside else (2, 5, 8))
    for last, bits in ((beside, kept), (not beside, kept.transpose(1, 2))):
        dx = tap_spread(pooled, divisor, bits, 6, 7, last)
        assert dx.is_contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
        wanted = reference.tap_backward(pooled, x, cutoff, count)
        torch.testing.assert_close(dx, wanted, rtol=0, atol=0, equal_nan=True)


CHECKED = ["contiguous", "channels_last", "permuted", "every other"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("layout", CHECKED)
def test_the_operators_keep_what_they_promised_pytorch(layout, dtype):
    x = LAYOUTS[layout](torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).to(dtype))
    torch.library.opcheck(pooling.tap, (x, 0.1))
    torch.library.opcheck(tap_keeping, (x, 0.1))
    pooled, divisor, kept = tap_keeping(x, 0.1)
    beside = layout == "channels_last"
    for last, bits in ((beside, kept), (not beside, kept.transpose(1, 2))):
        torch.library.opcheck(tap_spread, (pooled, divisor, bits, 4, 5, last))


@pytest.mark.parametrize("with_maps", [False, True])
@pytest.mark.parametrize("quantize", [False, True])
def test_binarize_keeps_what_it_promised_pytorch(quantize, with_maps):
    maps = torch.stack(list(heat_maps(4, 5).values()))
    for some in (maps, maps.transpose(1, 2), maps[::2]):
        torch.library.opcheck(masks.binarize, (some, 9, 70, "bilinear", "none", quantize, 90.0, 0.35, with_maps))


# ---------------------------------------------------- the operators as on CUDA, on the CPU by the interpreter's kernels


@pytest.fixture
def kernels_on_the_cpu():
    """What is registered for CUDA runs for the CPU, in Triton's interpreter."""
    pytest.importorskip("triton")
    if torch.cuda.is_available():
        pytest.skip("the interpreter is for where there is no GPU")
    from interpreted import patch_once_a_launch

    patch_once_a_launch()
    with warnings.catch_warnings(), torch.library._scoped_library("fastcam", "IMPL") as library:
        warnings.simplefilter("ignore")  # of overriding, and NumPy's of IEEE arithmetic
        for name, kernel in (
            ("tap", pooling._cuda),
            ("tap_keeping", pooling._keeping_cuda),
            ("tap_spread", pooling._spread_cuda),
            ("cam", activation._cuda),
            ("binarize", masks._cuda),
        ):
            library.impl(name, kernel, "CPU", allow_override=True)
        yield


@pytest.mark.parametrize("layout", CHECKED)
def test_pooling_by_the_kernels_keeps_its_promises(layout, kernels_on_the_cpu):  # noqa: ARG001
    x = LAYOUTS[layout](torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(fastcam.tap(x, 0.1), reference.tap_forward(x, 0.1)[0])
    torch.library.opcheck(pooling.tap, (x, 0.1))
    pooled, divisor, kept = tap_keeping(x, 0.1)
    torch.library.opcheck(tap_keeping, (x, 0.1))
    torch.library.opcheck(tap_spread, (pooled, divisor, kept, 4, 5, layout == "channels_last"))
    expanded = torch.ones(1, 1).expand(2, 3)
    assert torch.equal(
        tap_spread(expanded, divisor, kept, 4, 5, False), tap_spread(torch.ones(2, 3), divisor, kept, 4, 5, False)
    )


@pytest.mark.parametrize("layout", CHECKED)
def test_the_map_and_the_masks_by_the_kernels_keep_their_promises(layout, kernels_on_the_cpu):  # noqa: ARG001
    features = LAYOUTS[layout](torch.randn(2, 6, 4, 5, generator=torch.Generator().manual_seed(0)))
    weight = torch.randn(7, 6, generator=torch.Generator().manual_seed(1))
    index = torch.tensor([[1, 2], [6, 6]])
    for some in (weight, weight.double(), weight.t().contiguous().t()):
        torch.testing.assert_close(
            activation.cam(features, some, index, True), fastcam.reference.activation.cam(features, some, index, True)
        )
    torch.library.opcheck(activation.cam, (features, weight, index, True))
    maps = activation.cam(features, weight, index[:, 0], True)
    torch.library.opcheck(masks.binarize, (maps, 9, 12, "bilinear", "none", False, 90.0, 0.35, True))


def test_localize_by_the_kernels_finds_what_the_core_finds(kernels_on_the_cpu):  # noqa: ARG001
    maps = torch.stack(list(heat_maps(5, 6).values()))
    options = (20, 31, "bilinear", "none", False, 90.0, 0.35)
    wanted = masks._any_device(maps, *options, True)
    found = masks.binarize(maps, *options, True)
    assert all(map(torch.equal, found, wanted))
    from fastcam.ops import localization

    boxes = localization._any_device(maps, *options, False, 8, False, False, True, True)
    for part, expected in zip(
        boxes, fastcam.ops.localization.locate(maps, *options, False, 8, False, False, True, True), strict=True
    ):
        torch.testing.assert_close(part, expected, rtol=0, atol=0)
