"""Localizer with heads that are wrapped, scripted, sharded or quantized."""

import copy
import warnings

import pytest
import torch
from classifiers import C, K, Net, by_hand
from torch import nn

import fastcam
from fastcam.extractors import HeadMismatchWarning
from fastcam.extractors.head import head_bias, head_layer, head_weight


@pytest.fixture(autouse=True)
def _quiet():
    """Of PyTorch's deprecations, not of ours: a mismatch is an error."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", HeadMismatchWarning)
        yield


class Float8Linear(nn.Linear):
    def __init__(self, linear):
        super().__init__(linear.in_features, linear.out_features)
        self.weight = nn.Parameter(linear.weight.detach().to(torch.float8_e4m3fn), requires_grad=False)
        self.bias = linear.bias

    def forward(self, x):
        return nn.functional.linear(x, self.weight.to(x.dtype), self.bias)


def changed(model, name, change):
    other = copy.deepcopy(model)
    setattr(other, name, change(getattr(other, name)))
    return other.eval()


def same_as(model, other, images, **names):
    logits, found = fastcam.Localizer(other, **names)(images)
    expected_logits, expected = by_hand(model, images)
    assert torch.equal(logits, expected_logits)
    assert torch.equal(found.boxes, expected.boxes)
    assert fastcam.Localizer(other, **names).num_classes == K


WRAPPERS = {
    "DataParallel": nn.DataParallel,
    "compiled": lambda part: torch.compile(part, backend="eager"),
    "twice": lambda part: torch.compile(nn.DataParallel(part), backend="eager"),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", ["fc", "layer4"])
def test_wrapped_parts(model, images, wrapper, name):
    other = changed(model, name, WRAPPERS[wrapper])
    other(images)  # compiled without hooks
    same_as(model, other, images)
    assert type(head_layer(other.fc)) is nn.Linear


def test_a_scripted_head(model, images):
    same_as(model, changed(model, "fc", torch.jit.script), images)


def test_scripted_features_are_refused(model, images):
    other = changed(model, "layer4", torch.jit.script)
    with pytest.raises(RuntimeError, match="scripted or exported modules do not call hooks: name one around them"):
        fastcam.Localizer(other)(images)
    same_as(model, other, images, features="pool:input")


@pytest.mark.parametrize("make", [torch.jit.script, lambda model: torch.jit.trace(model, torch.rand(3, 3, 40, 32))])
def test_a_scripted_or_traced_model(model, make):
    with pytest.raises(
        ValueError, match="scripted or traced and calls no hooks; pass the module that it was made from"
    ):
        fastcam.Localizer(make(model))


@pytest.fixture
def alone():
    """A group of one process."""
    distributed = pytest.importorskip("torch.distributed")
    if not distributed.is_available() or distributed.is_initialized():
        pytest.skip("needs torch.distributed to itself")
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("options", [{}, {"use_orig_params": True}, {"wrap": True}], ids=["flat", "original", "nested"])
def test_fully_sharded(model, images, options):
    fsdp = pytest.importorskip("torch.distributed.fsdp")
    wrap = fsdp.wrap.ModuleWrapPolicy({nn.Linear, nn.Sequential}) if options.pop("wrap", False) else None

    def sharded(part):
        return fsdp.FullyShardedDataParallel(part, auto_wrap_policy=wrap, device_id=torch.device("cpu"), **options)

    same_as(model, sharded(copy.deepcopy(model)), images)
    same_as(model, changed(model, "fc", sharded), images)
    # A mistake is still seen.
    with pytest.raises(HeadMismatchWarning):
        fastcam.Localizer(sharded(Net(nn.LPPool2d(2, 9)).eval()), "layer4")(torch.rand(3, 3, 40, 40))


class TestQuantized:
    def test_dynamically(self, model, images):
        other = torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {nn.Linear}, dtype=torch.qint8)
        weight = head_weight(other.fc, "fc")
        assert weight.dtype == torch.float32
        torch.testing.assert_close(weight, model.fc.weight, atol=float(model.fc.weight.abs().max()) / 127, rtol=0)
        assert torch.equal(head_bias(other.fc), model.fc.bias)
        logits, found = fastcam.Localizer(other)(images)
        assert torch.equal(logits, other(images))
        features = model.layer4(model.stem(images)).detach()
        expected = fastcam.localize(features, weight, found.labels, size=(40, 32))
        assert torch.equal(found.boxes, expected.boxes)

    def test_a_mistake_is_still_seen(self, model, images):
        other = torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {nn.Linear}, dtype=torch.qint8)
        other.pool = nn.LPPool2d(2, (9, 7))
        with pytest.raises(HeadMismatchWarning):
            fastcam.Localizer(other)(images)

    def test_to_float8(self, model, images):
        other = changed(model, "fc", Float8Linear)
        _, found = fastcam.Localizer(other)(images)
        weight = model.fc.weight.detach().to(torch.float8_e4m3fn).float()
        features = model.layer4(model.stem(images)).detach()
        expected = fastcam.localize(features, weight, found.labels, size=(40, 32))
        assert torch.equal(found.boxes, expected.boxes)

    def test_tensors_that_bring_their_own_dequantize(self):
        class Packed(torch.Tensor):
            def dequantize(self):
                return self.as_subclass(torch.Tensor) * 2

        layer = nn.Linear(C, K, bias=False)
        layer.weight = None
        del layer._parameters["weight"]
        layer.weight = torch.ones(K, C).as_subclass(Packed)
        assert torch.equal(head_weight(layer, "fc"), torch.full((K, C), 2.0))


@pytest.mark.parametrize(
    ("images", "got"),
    [
        (torch.rand(1, 3, 8, 8).to_sparse(), "layout torch.sparse_coo on cpu"),
        (torch.empty(1, 3, 8, 8, device="meta"), "layout torch.strided on meta"),
        (torch.rand(1, 3, 8, 8).to_mkldnn(), "layout torch._mkldnn on cpu"),
        (torch.nested.nested_tensor([torch.rand(3, 8, 8)], layout=torch.jagged), "a nested one"),
    ],
    ids=["sparse", "meta", "mkldnn", "nested"],
)
def test_images_of_another_kind(model, images, got):
    with pytest.raises(TypeError, match=f"images must be a dense tensor .* got {got}"):
        fastcam.Localizer(model)(images)
