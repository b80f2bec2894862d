"""GoogleNet as WSOL has it: InceptionV3 up to Mixed_6e, with SPG's two convolutions behind it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fastcam.inputs import Inputs
from fastcam.models.classifier import Classifier, Pooling, scaled
from fastcam.models.names import WeightNames
from fastcam.models.weights import downloaded

__all__ = ["InceptionV3"]


class InceptionV3(Classifier):
    """InceptionV3 (Szegedy et al., 2016) cut behind Mixed_6e, with two 3x3 convolutions to 1024 channels, as in SPG.

    The paper calls it GoogleNet. As in wsolevaluation, the first convolution and the poolings are padded and Mixed_6a
    has stride 1 behind a pooling of its own, so that inputs of 224x224 give maps of 14x14. Names are torchvision's
    (and timm's), ``SPG_A3_1b`` and ``SPG_A3_2b`` wsolevaluation's.

    Weights: torchvision's ``inception_v3`` (``inception_v3_google-0cc3c7bd.pth``), whose inputs are scaled to [-1, 1];
    what lies behind Mixed_6e has no place here, and the two convolutions and the classifier start afresh.

    Args:
        num_classes: K.
        pooling: ``"gap"``, ``"tap"``, ``"gmp"``, ``"lse"``, or a module (N, C, h, w) to (N, C).
        tap_threshold: of ``"tap"``; by default the paper's 0.0.
        width: scales every number of channels.
        large_feature_map: leave out the pooling before Mixed_6a: 28x28.
        dropout: of the maps before, between and behind the two convolutions, in training. SPG has 0.5, and
            wsolevaluation's ADL 0.

    Raises:
        TypeError: a threshold that is not a number.
        ValueError: an argument out of range.

    Shape:
        (N, 3, H, W) to logits (N, K); features (N, 1024, 14, 14) for H = W = 224.

    Example:
        >>> model = InceptionV3(num_classes=10, width=1 / 16)
        >>> model(torch.rand(1, 3, 64, 64)).shape
        torch.Size([1, 10])
    """

    inputs = Inputs(mean=(0.5,) * 3, std=(0.5,) * 3)
    # As wsolevaluation has it.
    adl_positions = ("Mixed_5d", "Mixed_6e", "SPG_A3_2b")
    weight_names = WeightNames(
        left_out=(r"fc\.", r"AuxLogits\.", r"Mixed_7[abc]\."), added=("SPG_A3_1b.", "SPG_A3_2b.")
    )

    def __init__(
        self,
        num_classes: int = 1000,
        *,
        pooling: Pooling = "gap",
        tap_threshold: float | None = None,
        width: float = 1.0,
        large_feature_map: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()

        def wide(channels: int) -> int:
            return scaled(channels, width)

        self.Conv2d_1a_3x3 = _Conv(3, wide(32), 3, stride=2, padding=1)
        self.Conv2d_2a_3x3 = _Conv(wide(32), wide(32), 3)
        self.Conv2d_2b_3x3 = _Conv(wide(32), wide(64), 3, padding=1)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        self.Conv2d_3b_1x1 = _Conv(wide(64), wide(80), 1)
        self.Conv2d_4a_3x3 = _Conv(wide(80), wide(192), 3)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        self.Mixed_5b = _InceptionA(wide(192), width, 32)
        self.Mixed_5c = _InceptionA(self.Mixed_5b.out, width, 64)
        self.Mixed_5d = _InceptionA(self.Mixed_5c.out, width, 64)
        self.maxpool3 = nn.Identity() if large_feature_map else nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.Mixed_6a = _InceptionB(self.Mixed_5d.out, width)
        self.Mixed_6b = _InceptionC(self.Mixed_6a.out, width, 128)
        self.Mixed_6c = _InceptionC(self.Mixed_6b.out, width, 160)
        self.Mixed_6d = _InceptionC(self.Mixed_6c.out, width, 160)
        self.Mixed_6e = _InceptionC(self.Mixed_6d.out, width, 192)
        self.backbone_channels = self.Mixed_6e.out
        self.spg_positions = {"maxpool3": self.Mixed_5d.out, "Mixed_6e": self.Mixed_6e.out}
        # As DANet's released code has it.
        self.danet_positions = {"Mixed_5d": self.Mixed_5d.out, "maxpool2": wide(192)}
        self.SPG_A3_1b = nn.Sequential(nn.Conv2d(self.backbone_channels, wide(1024), 3, padding=1), nn.ReLU())
        self.SPG_A3_2b = nn.Sequential(nn.Conv2d(wide(1024), wide(1024), 3, padding=1), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self._finish(wide(1024), num_classes, pooling, tap_threshold)

    @classmethod
    def imagenet_file(cls) -> Path:
        """Return torchvision's file, from the cache of ``torch.hub`` or the web."""
        return downloaded("https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth")

    def forward_backbone(self, images: Tensor) -> Tensor:
        """Return Mixed_6e, (N, 768, h, w)."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(self.maxpool1(x)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(self.maxpool2(x))))
        x = self.Mixed_6b(self.Mixed_6a(self.maxpool3(x)))
        return torch.as_tensor(self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(x))))

    def forward_neck(self, features: Tensor) -> Tensor:
        """Return SPG_A3_2b, (N, 1024, h, w)."""
        x = self.SPG_A3_1b(self.dropout(features))
        return torch.as_tensor(self.dropout(self.SPG_A3_2b(self.dropout(x))))


class _Conv(nn.Module):
    """A convolution, batch normalization and a ReLU."""

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int = 0,
    ) -> None:
        super().__init__()
        around = padding if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)
        self.conv = nn.Conv2d(channels, out, kernel, stride=stride, padding=around, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class _InceptionA(nn.Module):
    def __init__(self, channels: int, width: float, pooled: int) -> None:
        super().__init__()
        c48, c64, c96, pooled = (scaled(one, width) for one in (48, 64, 96, pooled))
        self.branch1x1 = _Conv(channels, c64, 1)
        self.branch5x5_1 = _Conv(channels, c48, 1)
        self.branch5x5_2 = _Conv(c48, c64, 5, padding=2)
        self.branch3x3dbl_1 = _Conv(channels, c64, 1)
        self.branch3x3dbl_2 = _Conv(c64, c96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(c96, c96, 3, padding=1)
        self.branch_pool = _Conv(channels, pooled, 1)
        self.out = 2 * c64 + c96 + pooled

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        pooled = self.branch_pool(F.avg_pool2d(x, 3, stride=1, padding=1))
        return torch.cat([self.branch1x1(x), five, three, pooled], 1)


class _InceptionB(nn.Module):
    """With stride 1: torchvision's has 2."""

    def __init__(self, channels: int, width: float) -> None:
        super().__init__()
        c64, c96, c384 = (scaled(one, width) for one in (64, 96, 384))
        self.branch3x3 = _Conv(channels, c384, 3, padding=1)
        self.branch3x3dbl_1 = _Conv(channels, c64, 1)
        self.branch3x3dbl_2 = _Conv(c64, c96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(c96, c96, 3, padding=1)
        self.out = c384 + c96 + channels

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), three, F.max_pool2d(x, 3, stride=1, padding=1)], 1)


class _InceptionC(nn.Module):
    def __init__(self, channels: int, width: float, inner: int) -> None:
        super().__init__()
        c7, c192 = scaled(inner, width), scaled(192, width)
        across, down = (1, 7), (7, 1)
        self.branch1x1 = _Conv(channels, c192, 1)
        self.branch7x7_1 = _Conv(channels, c7, 1)
        self.branch7x7_2 = _Conv(c7, c7, across)
        self.branch7x7_3 = _Conv(c7, c192, down)
        self.branch7x7dbl_1 = _Conv(channels, c7, 1)
        self.branch7x7dbl_2 = _Conv(c7, c7, down)
        self.branch7x7dbl_3 = _Conv(c7, c7, across)
        self.branch7x7dbl_4 = _Conv(c7, c7, down)
        self.branch7x7dbl_5 = _Conv(c7, c192, across)
        self.branch_pool = _Conv(channels, c192, 1)
        self.out = 4 * c192

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        pooled = self.branch_pool(F.avg_pool2d(x, 3, stride=1, padding=1))
        return torch.cat([self.branch1x1(x), seven, double, pooled], 1)
