"""ResNet50, plain and with squeeze-and-excitation, with maps of stride 16."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from fastcam.models.classifier import Classifier, Pooling, scaled
from fastcam.models.names import WeightNames
from fastcam.models.weights import downloaded

__all__ = ["ResNet50", "ResNet50SE"]

_EXPANSION = 4


class ResNet50(Classifier):
    """ResNet50 (He et al., 2016) with stride 1 in its last stage: maps of 14x14 for inputs of 224x224.

    Modules and names are torchvision's (version 1.5: the stride lies in the 3x3 convolution), and timm's.

    Weights: torchvision's ``resnet50``, version 1 (``resnet50-0676ba61.pth``).

    Args:
        num_classes: K.
        pooling: ``"gap"``, ``"tap"``, ``"gmp"``, ``"lse"``, or a module (N, C, h, w) to (N, C).
        tap_threshold: of ``"tap"``; by default the paper's 0.0.
        width: scales every number of channels.
        large_feature_map: stride 1 in the third stage too: 28x28.

    Raises:
        TypeError: a threshold that is not a number.
        ValueError: an argument out of range.

    Shape:
        (N, 3, H, W) to logits (N, K); features (N, 2048, H / 16, W / 16).

    Example:
        >>> model = ResNet50(num_classes=10, width=1 / 16, large_feature_map=True)
        >>> model.forward_features(torch.rand(1, 3, 64, 64)).shape
        torch.Size([1, 128, 8, 8])
    """

    # Where ADL's own code (31, 41, 5) and wsolevaluation put it.
    adl_positions = ("layer3.0", "layer4.0", "layer4.2")
    weight_names = WeightNames(renames=((r"^fc\.", "classifier."),))
    squeezed: ClassVar[bool] = False

    def __init__(
        self,
        num_classes: int = 1000,
        *,
        pooling: Pooling = "gap",
        tap_threshold: float | None = None,
        width: float = 1.0,
        large_feature_map: bool = False,
    ) -> None:
        super().__init__()
        channels = scaled(64, width)
        self.conv1 = nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        c64, c128, c256, c512 = (scaled(one, width) for one in (64, 128, 256, 512))
        self.layer1 = _stage(3, channels, c64, 1, self.squeezed)
        self.layer2 = _stage(4, c64 * _EXPANSION, c128, 2, self.squeezed)
        self.layer3 = _stage(6, c128 * _EXPANSION, c256, 1 if large_feature_map else 2, self.squeezed)
        self.layer4 = _stage(3, c256 * _EXPANSION, c512, 1, self.squeezed)
        self.backbone_channels = c512 * _EXPANSION
        # The first block of the third stage, and all of it.
        self.spg_positions = {"layer3.0": c256 * _EXPANSION, "layer3": c256 * _EXPANSION}
        self._finish(self.backbone_channels, num_classes, pooling, tap_threshold)
        # A block starts as its shortcut, as in ADL's code: without, deep narrow networks hardly train from nothing.
        for part in self.modules():
            if isinstance(part, _Bottleneck):
                nn.init.zeros_(part.bn3.weight)

    @classmethod
    def imagenet_file(cls) -> Path:
        """Return torchvision's file, from the cache of ``torch.hub`` or the web."""
        return downloaded("https://download.pytorch.org/models/resnet50-0676ba61.pth")

    def forward_backbone(self, images: Tensor) -> Tensor:
        """Return the last stage, (N, 2048, h, w)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return torch.as_tensor(x)


class ResNet50SE(ResNet50):
    """ResNet50 with squeeze-and-excitation (Hu et al., 2018) in every block, as in ADL and the paper.

    A block's 4w output channels are squeezed to w/4, a reduction of 16. (In ADL's code, ``ch_out // 4`` squeezes
    ``ch_out * 4`` channels.) The maps have stride 16, the names are timm's.

    Weights: timm's ``seresnet50.ra2_in1k`` (``seresnet50_ra_224-8efdb4bb.pth``), whose network is this one except for
    the last stage's stride. ADL started from tensorpack's, which exist for TensorFlow only. ``legacy_seresnet50`` of
    timm (Cadene's ``se_resnet50``) is another network, with the stride in the first 1x1 convolution of a block and no
    padding in its first pooling: its files are refused.

    Args:
        num_classes: K.
        pooling: ``"gap"``, ``"tap"``, ``"gmp"``, ``"lse"``, or a module (N, C, h, w) to (N, C).
        tap_threshold: of ``"tap"``; by default the paper's 0.0.
        width: scales every number of channels.
        large_feature_map: stride 1 in the third stage too: 28x28.

    Raises:
        TypeError: a threshold that is not a number.
        ValueError: an argument out of range.

    Shape:
        (N, 3, H, W) to logits (N, K); features (N, 2048, H / 16, W / 16).

    Example:
        >>> model = ResNet50SE(num_classes=10, pooling="tap", width=1 / 16)
        >>> model(torch.rand(1, 3, 64, 64)).shape
        torch.Size([1, 10])
    """

    squeezed = True

    @classmethod
    def imagenet_file(cls) -> Path:
        """Return timm's file, from the cache of ``torch.hub`` or the web."""
        release = "https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-weights"
        return downloaded(f"{release}/seresnet50_ra_224-8efdb4bb.pth")


def _stage(blocks: int, channels: int, inner: int, stride: int, squeezed: bool) -> nn.Sequential:
    outer = inner * _EXPANSION
    rest = (_Bottleneck(outer, inner, outer, 1, squeezed) for _ in range(blocks - 1))
    return nn.Sequential(_Bottleneck(channels, inner, outer, stride, squeezed), *rest)


class _Bottleneck(nn.Module):
    def __init__(self, channels: int, inner: int, outer: int, stride: int, squeezed: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outer, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outer)
        self.se = _SqueezeExcitation(outer) if squeezed else None
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or channels != outer:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, outer, 1, stride=stride, bias=False), nn.BatchNorm2d(outer)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.se is not None:
            out = self.se(out)
        out = self.relu(out + (x if self.downsample is None else self.downsample(x)))
        return torch.as_tensor(out)


class _SqueezeExcitation(nn.Module):
    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu())
        return x * gate.sigmoid()
