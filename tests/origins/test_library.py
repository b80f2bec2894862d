"""What is the same for networks of all libraries; none of them is needed here."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

import fastcam
from fastcam.inputs import Inputs
from fastcam.origins import LoadError
from fastcam.origins.library import build_and_load, proved_inputs


class Zeros(nn.Sequential):
    """A network whose last layer begins with zeros, as many of timm's do, and a buffer that is no statistic."""

    def __init__(self, classes=4):
        norm, last = nn.BatchNorm2d(6), nn.Linear(6, classes)
        super().__init__(nn.Conv2d(3, 6, 4, 4), norm, nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)
        nn.init.zeros_(last.weight)
        self.register_buffer("mask", torch.zeros(5))
        self.classes = classes


def build(count):
    return Zeros() if count is None else Zeros(count)


def load(weights):
    return build_and_load(build, weights, lambda model: model.classes)


@pytest.mark.parametrize(
    ("name", "package"), [("timm", "timm"), ("torchvision", "torchvision"), ("hf", "transformers")]
)
def test_a_missing_library_is_named(monkeypatch, name, package):
    for module in [one for one in sys.modules if one.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"{name}:NAME needs {package}: pip install {package}"):
        fastcam.load(f"{name}:resnet18")


def test_a_library_of_another_build(tmp_path, monkeypatch):
    (tmp_path / "timm.py").write_text("raise RuntimeError('operator x does not\\nexist')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for module in [one for one in sys.modules if one.partition(".")[0] == "timm"]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(ImportError, match="timm cannot be imported: RuntimeError: operator x does not exist"):
        fastcam.load("timm:resnet18")


def test_random_weights_have_no_constants_and_are_the_same_every_time():
    torch.manual_seed(0)
    first, last = load("random").eval(), load("random")[-1]
    for value in (*first.parameters(), first[1].running_mean, first[1].running_var):
        assert value.std() > 0.01
    assert (first[1].running_var > 0).all()
    assert not first.mask.any()
    assert torch.equal(first[-1].weight, last.weight)


def test_a_file_says_how_many_classes_there_are(tmp_path):
    theirs = Zeros(9)
    nn.init.normal_(theirs[-1].weight)
    torch.save(theirs.state_dict(), tmp_path / "nine.pt")
    found = load(tmp_path / "nine.pt")
    assert found.classes == 9
    assert torch.equal(found[-1].weight, theirs[-1].weight)


def test_the_word_for_fastcams_own_weights():
    with pytest.raises(LoadError, match="without weights the library's are loaded"):
        load("imagenet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"4.weight": torch.zeros(9, 7)}, "4.weight of another shape"),
        ({"0.weight": torch.zeros(4, 3, 4, 4)}, "0.weight of another shape"),
        ({"4.weight": torch.zeros(9, 6)}, "4.bias of another shape"),
        ({"4.weight": torch.zeros(1).expand(1 << 40, 6), "4.bias": torch.zeros(1).expand(1 << 40)}, "of another shape"),
        ({"4.bias": torch.full((4,), float("nan"))}, "'4.bias' is not finite"),
    ],
)
def test_files_that_do_not_fit(tmp_path, change, message):
    torch.save({**Zeros().state_dict(), **change}, tmp_path / "other.pt")
    with pytest.raises(LoadError, match=message) as caught:
        load(tmp_path / "other.pt")
    assert caught.value.argument == "weights"


def transform(inputs):
    """A library's transform, from a PIL image, that does what inputs say."""
    return lambda picture: inputs(np.asarray(picture))


class TestProvedInputs:
    right = Inputs((64, 64), (56, 56), "bicubic", fit="cover", crop_offset="round")

    def test_the_first_that_gives_the_pixels(self):
        near = [self.right.replace(crop_offset="floor"), None, self.right.replace(filter="bilinear"), self.right]
        assert proved_inputs(near, transform(self.right), "it") == self.right

    @pytest.mark.parametrize(
        "change",
        [
            {"filter": "bilinear"},
            {"filter": "lanczos"},
            {"crop_offset": "floor"},
            {"fit": "stretch"},
            {"resize": (65, 65)},
            {"mean": (0.5, 0.456, 0.406)},
            {"std": (0.229, 0.3, 0.225)},
            {"channels": "bgr"},
        ],
    )
    def test_what_is_near_is_not_it(self, change):
        with pytest.raises(
            ValueError, match=r"the preprocessing of it is none that .* can say \(pixels differ by up to"
        ):
            proved_inputs([self.right.replace(**change)], transform(self.right), "it")

    def test_another_size_is_said(self):
        with pytest.raises(ValueError, match=r"\(3, 48, 48\), read as \(3, 56, 56\)"):
            proved_inputs([self.right], transform(Inputs((48, 48))), "it")

    def test_a_resize_that_rounds_elsewhere_is_the_same(self):
        def by_torch(picture):
            pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
            return nn.functional.interpolate(pixels.float(), (64, 64), mode="bilinear", antialias=True)[0] / 255

        plain = Inputs((64, 64), mean=(0, 0, 0), std=(1, 1, 1))
        assert proved_inputs([plain], by_torch, "it") == plain
