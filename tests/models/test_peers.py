"""The networks against torchvision's and timm's, where those are installed: their weights, the same numbers."""

import pytest
import torch
from libraries import library
from torch.nn import functional as F

from fastcam.models import create, load_weights


def randomized(model):
    """Statistics and affine parameters that a mistake would show in; the initial ones are 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    for key, value in model.state_dict().items():
        if key.endswith("running_var") or (key.endswith("weight") and value.ndim == 1):
            value.uniform_(0.5, 1.5, generator=generator)
        elif key.endswith(("running_mean", "bias")):
            value.normal_(0, 0.1, generator=generator)
    return model.eval()


def loaded(name, theirs, tmp_path, **options):
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    ours = create(name, **options)
    load_weights(ours, tmp_path / "theirs.pth")
    return ours.eval()


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def check(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def with_stride_1(theirs):
    first = theirs.layer4[0]
    first.conv2.stride = first.downsample[0].stride = (1, 1)
    return theirs


@torch.no_grad()
def check_inception(theirs, tmp_path):
    ours = loaded("googlenet", theirs, tmp_path)
    for names, channels, cells in (("5b 5c 5d", 192, 28), ("6b 6c 6d 6e", 768, 14)):
        found = expected = noise(1, channels, cells, cells)
        for name in names.split():
            found, expected = getattr(ours, f"Mixed_{name}")(found), getattr(theirs, f"Mixed_{name}")(expected)
        check(found, expected)
    x, block = noise(1, 288, 14, 14), theirs.Mixed_6a
    for unit in (block.branch3x3, block.branch3x3dbl_3):
        unit.conv.stride = unit.conv.padding = (1, 1)
    branches = (block.branch3x3(x), block.branch3x3dbl_3(block.branch3x3dbl_2(block.branch3x3dbl_1(x))))
    check(ours.Mixed_6a(x), torch.cat([*branches, F.max_pool2d(x, 3, 1, 1)], 1))


class TestTorchvision:
    @pytest.fixture
    def models(self):
        return library("torchvision.models")

    @torch.no_grad()
    def test_vgg16(self, models, tmp_path):
        theirs = randomized(models.vgg16(weights=None))
        check(
            loaded("vgg16", theirs, tmp_path).forward_backbone(noise(1, 3, 96, 96)),
            theirs.features[:-1](noise(1, 3, 96, 96)),
        )

    @torch.no_grad()
    def test_resnet50(self, models, tmp_path):
        theirs = with_stride_1(randomized(models.resnet50(weights=None)))
        check(loaded("resnet50", theirs, tmp_path)(noise(1, 3, 96, 96)), theirs(noise(1, 3, 96, 96)))

    def test_inception_v3(self, models, tmp_path):
        check_inception(randomized(models.inception_v3(weights=None, aux_logits=True, init_weights=False)), tmp_path)


class TestTimm:
    @pytest.fixture
    def timm(self):
        return library("timm")

    @torch.no_grad()
    def test_vgg16(self, timm, tmp_path):
        theirs = randomized(timm.create_model("vgg16"))
        check(
            loaded("vgg16", theirs, tmp_path).forward_backbone(noise(1, 3, 96, 96)),
            theirs.features[:-1](noise(1, 3, 96, 96)),
        )

    @torch.no_grad()
    @pytest.mark.parametrize(("name", "theirs"), [("resnet50", "resnet50"), ("resnet50-se", "seresnet50")])
    def test_resnet50(self, timm, tmp_path, name, theirs):
        model = with_stride_1(randomized(timm.create_model(theirs)))
        check(loaded(name, model, tmp_path)(noise(1, 3, 96, 96)), model(noise(1, 3, 96, 96)))

    @torch.no_grad()
    def test_mobilenetv1(self, timm, tmp_path):
        theirs = randomized(timm.create_model("mobilenetv1_100"))
        theirs.blocks[4][0].conv_dw.stride = (1, 1)
        check(loaded("mobilenetv1", theirs, tmp_path)(noise(1, 3, 96, 96)), theirs(noise(1, 3, 96, 96)))

    @torch.no_grad()
    @pytest.mark.parametrize("size", [(96, 96), (99, 65)])
    def test_efficientnet_lite0(self, timm, tmp_path, size):
        theirs = randomized(timm.create_model("tf_efficientnet_lite0"))
        check(loaded("efficientnet-lite0", theirs, tmp_path)(noise(1, 3, *size)), theirs(noise(1, 3, *size)))

    def test_inception_v3(self, timm, tmp_path):
        check_inception(randomized(timm.create_model("inception_v3", aux_logits=True)), tmp_path)
