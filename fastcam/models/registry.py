"""The models that come with fastcam, by name."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastcam.models.classifier import Classifier, Pooling
from fastcam.models.efficientnet import EfficientNetLite0
from fastcam.models.inception import InceptionV3
from fastcam.models.mobilenet import MobileNetV1
from fastcam.models.resnet import ResNet50, ResNet50SE
from fastcam.models.vgg import VGG16
from fastcam.models.weights import load_weights

__all__ = ["NETWORKS", "create"]

NETWORKS: Mapping[str, type[Classifier]] = MappingProxyType(
    {
        "vgg16": VGG16,
        "resnet50": ResNet50,
        "resnet50-se": ResNet50SE,
        "mobilenetv1": MobileNetV1,
        "googlenet": InceptionV3,
        "efficientnet-lite0": EfficientNetLite0,
    }
)
"""The class of every network that :func:`create` builds, by its name."""


def create(
    name: str,
    *,
    num_classes: int = 1000,
    pooling: Pooling = "gap",
    weights: str | os.PathLike[str] | None = None,
    new_classifier: bool = False,
    **options: Any,  # noqa: ANN401
) -> Classifier:
    """Build a network of the paper, with weights or without, in training mode.

    Args:
        name: one of :data:`NETWORKS`.
        num_classes: K.
        pooling: ``"gap"``, ``"tap"``, ``"gmp"``, ``"lse"``, or a module (N, C, h, w) to (N, C).
        weights: a file, or ``"imagenet"``; see :func:`fastcam.models.load_weights`. What was loaded, what starts afresh
            and what of the file was not used is in the network's ``weights_report``.
        new_classifier: start the classifier afresh, whatever the file has.
        options: the network's own: ``tap_threshold``, ``width``, and ``large_feature_map``, ``last_stride`` or
            ``dropout`` where it has them.

    Returns:
        The network.

    Raises:
        OSError: the weights cannot be read, or not downloaded.
        ImportError: a package that the weights need is not installed.
        TypeError: an option that the network does not have.
        ValueError: an unknown name, an option out of range, or weights that do not fit.

    Example:
        >>> model = create("resnet50-se", num_classes=200, pooling="tap", width=1 / 16)
        >>> model.pool
        TAP(threshold=0.0, keepdim=False)
    """
    if name not in NETWORKS:
        close = difflib.get_close_matches(name, NETWORKS, n=1) if isinstance(name, str) else []
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(NETWORKS)}"
        raise ValueError(f"name={name!r} is no network; {hint}")
    network = NETWORKS[name]
    known = inspect.signature(network).parameters
    for option in options:
        if option not in known:
            raise TypeError(f"{name} has no option {option!r}; it has {', '.join(known)}")
    model = network(num_classes, pooling=pooling, **options)
    if weights is not None:
        load_weights(model, weights, new_classifier=new_classifier)
    return model
