"""VGG16 without its last pooling, with one more convolution: the paper's network of CUB-200-2011."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from fastcam.models.classifier import Classifier, Pooling, scaled
from fastcam.models.names import WeightNames
from fastcam.models.weights import downloaded

__all__ = ["VGG16"]

_LAYERS = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512)


class VGG16(Classifier):
    """VGG16 (Simonyan and Zisserman, 2015) as in CAM, ADL and the paper's released code.

    pool5 is removed, and a 3x3 convolution to 1024 channels with a ReLU stands between conv5_3 and the pooling: maps
    of 14x14 for inputs of 224x224. The modules of ``features`` have torchvision's numbers.

    Weights: torchvision's ``vgg16`` (``vgg16-397923af.pth``); the fully connected layers have no place here, and
    ``conv6`` and ``classifier`` start afresh.

    Args:
        num_classes: K.
        pooling: ``"gap"``, ``"tap"``, ``"gmp"``, ``"lse"``, or a module (N, C, h, w) to (N, C).
        tap_threshold: of ``"tap"``; by default the paper's 0.1.
        width: scales every number of channels.
        large_feature_map: leave out pool4 too: 28x28.

    Raises:
        TypeError: a threshold that is not a number.
        ValueError: an argument out of range.

    Shape:
        (N, 3, H, W) to logits (N, K); features (N, 1024, H // 16, W // 16).

    Example:
        >>> import torch
        >>> model = VGG16(num_classes=200, pooling="tap", width=1 / 16)
        >>> model(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 200])
    """

    tap_threshold = 0.1
    # pool3, conv4_3 and conv5_3, as wsolevaluation has it; ADL's own code puts the second behind pool4.
    adl_positions = ("features.16", "features.22", "features.29")
    # timm names the fully connected layers pre_logits.* and head.fc.*.
    weight_names = WeightNames(left_out=(r"classifier\.\d+\.", r"pre_logits\.", r"head\.fc\."), added=("conv6.",))

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
        channels, layers = 3, list[nn.Module]()
        pools = 0
        for layer in _LAYERS:
            if isinstance(layer, int):
                channels, previous = scaled(layer, width), channels
                layers += [nn.Conv2d(previous, channels, 3, padding=1), nn.ReLU(inplace=True)]
            else:
                pools += 1
                # In place of pool4, so that the numbers behind it stay those of the weights.
                layers.append(nn.Identity() if large_feature_map and pools == 4 else nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.backbone_channels = channels
        # B1 takes conv4_3 after its pooling, B2 conv5_3.
        self.spg_positions = {"features.23": channels, "features.29": channels}
        # The pools behind conv4_3 and conv3_3, as DANet's released code has it.
        self.danet_positions = {"features.23": channels, "features.16": scaled(256, width)}
        self.conv6 = nn.Conv2d(channels, scaled(1024, width), 3, padding=1)
        self.relu6 = nn.ReLU(inplace=True)
        self._finish(scaled(1024, width), num_classes, pooling, tap_threshold)

    @classmethod
    def imagenet_file(cls) -> Path:
        """Return torchvision's file, from the cache of ``torch.hub`` or the web."""
        return downloaded("https://download.pytorch.org/models/vgg16-397923af.pth")

    def forward_backbone(self, images: Tensor) -> Tensor:
        """Return conv5_3, (N, 512, h, w)."""
        return torch.as_tensor(self.features(images))

    def forward_neck(self, features: Tensor) -> Tensor:
        """Return conv6, (N, 1024, h, w)."""
        return torch.as_tensor(self.relu6(self.conv6(features)))
