"""MobileNetV1 with stride 1 in its last stage."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from fastcam.inputs import Inputs
from fastcam.models.classifier import Classifier, Pooling, scaled
from fastcam.models.weights import downloaded

__all__ = ["MobileNetV1"]

# Blocks, stride and channels of each stage.
_STAGES = ((1, 1, 64), (2, 2, 128), (2, 2, 256), (6, 2, 512), (2, 1, 1024))


class MobileNetV1(Classifier):
    """MobileNetV1 (Howard et al., 2017) with stride 1 in its last stage: maps of 14x14 for inputs of 224x224.

    Modules and names are those of timm's ``mobilenetv1_100``, with ReLU6 as in TensorFlow's.

    Weights: timm's ``mobilenetv1_100.ra4_e3600_r224_in1k`` (2024), from the Hugging Face hub, whose inputs are scaled
    to [-1, 1]; reading them takes the package ``safetensors``. The paper names no source; its own may have been worse.

    Args:
        num_classes: K.
        pooling: ``"gap"``, ``"tap"``, ``"gmp"``, ``"lse"``, or a module (N, C, h, w) to (N, C).
        tap_threshold: of ``"tap"``; by default the paper's 0.1.
        width: scales every number of channels.

    Raises:
        TypeError: a threshold that is not a number.
        ValueError: an argument out of range.

    Shape:
        (N, 3, H, W) to logits (N, K); features (N, 1024, H / 16, W / 16).

    Example:
        >>> model = MobileNetV1(num_classes=10, pooling="tap", width=1 / 8)
        >>> model(torch.rand(1, 3, 64, 64)).shape
        torch.Size([1, 10])
    """

    inputs = Inputs(mean=(0.5,) * 3, std=(0.5,) * 3)
    tap_threshold = 0.1
    # ADL gives none for this network. The counterparts of ResNet50's: the first block of stride 16, the first of the
    # last stage, the last.
    adl_positions = ("blocks.3.0", "blocks.4.0", "blocks.4.1")

    def __init__(
        self,
        num_classes: int = 1000,
        *,
        pooling: Pooling = "gap",
        tap_threshold: float | None = None,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        channels = scaled(32, width)
        self.conv_stem = nn.Conv2d(3, channels, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.act = nn.ReLU6(inplace=True)
        self.blocks = nn.Sequential()
        for blocks, stride, full in _STAGES:
            stage = nn.Sequential()
            for _ in range(blocks):
                stage.append(_SeparableBlock(channels, scaled(full, width), stride))
                channels, stride = scaled(full, width), 1
            self.blocks.append(stage)
        self.backbone_channels = channels
        self._finish(channels, num_classes, pooling, tap_threshold)

    @classmethod
    def imagenet_file(cls) -> Path:
        """Return timm's file, from the cache of ``torch.hub`` or the web."""
        name = "mobilenetv1_100.ra4_e3600_r224_in1k"
        return downloaded(f"https://huggingface.co/timm/{name}/resolve/main/model.safetensors", f"{name}.safetensors")

    def forward_backbone(self, images: Tensor) -> Tensor:
        """Return the last stage, (N, 1024, h, w)."""
        return torch.as_tensor(self.blocks(self.act(self.bn1(self.conv_stem(images)))))


class _SeparableBlock(nn.Module):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, groups=channels, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv_pw = nn.Conv2d(channels, out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.act = nn.ReLU6(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.bn1(self.conv_dw(x)))
        return torch.as_tensor(self.act(self.bn2(self.conv_pw(x))))
