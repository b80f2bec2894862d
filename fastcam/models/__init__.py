"""Classifiers to localize with, and what their use needs."""

from fastcam.models.classes import imagenet_classes, read_classes
from fastcam.models.classifier import Classifier
from fastcam.models.efficientnet import EfficientNetLite0
from fastcam.models.inception import InceptionV3
from fastcam.models.mobilenet import MobileNetV1
from fastcam.models.names import WeightNames
from fastcam.models.registry import NETWORKS, create
from fastcam.models.resnet import ResNet50, ResNet50SE
from fastcam.models.state_dict import read_state_dict
from fastcam.models.vgg import VGG16
from fastcam.models.weights import WeightsMismatchError, WeightsReport, load_weights

__all__ = [
    "NETWORKS",
    "VGG16",
    "Classifier",
    "EfficientNetLite0",
    "InceptionV3",
    "MobileNetV1",
    "ResNet50",
    "ResNet50SE",
    "WeightNames",
    "WeightsMismatchError",
    "WeightsReport",
    "create",
    "imagenet_classes",
    "load_weights",
    "read_classes",
    "read_state_dict",
]
