"""Classifiers to localize with, and what their use needs."""

from fastcam.models.card import ModelCard
from fastcam.models.classes import imagenet_classes, read_classes
from fastcam.models.efficientnet import efficientnet_lite0
from fastcam.models.preprocessing import Preprocessing
from fastcam.models.registry import BUILTIN

__all__ = ["BUILTIN", "ModelCard", "Preprocessing", "efficientnet_lite0", "imagenet_classes", "read_classes"]
