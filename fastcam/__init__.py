"""Object boxes from a classifier's feature maps.

Implements Bae, Noh, Kim, "Rethinking Class Activation Mapping for Weakly Supervised Object Localization", ECCV 2020.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from fastcam.activation import cam
from fastcam.boxes import box_iou, crop_boxes, resize_boxes
from fastcam.localization import Localization, boxes_from_maps, localize
from fastcam.extractors import Localizer
from fastcam.masks import MaskBoxes, PackedMasks, boxes_from_masks
from fastcam.pooling import TAP, tap
from fastcam.protocol import AUTHORS, PAPER, VANILLA, WSOLEVAL, Protocol

__all__ = [
    "AUTHORS",
    "PAPER",
    "TAP",
    "VANILLA",
    "WSOLEVAL",
    "Localization",
    "Localizer",
    "MaskBoxes",
    "PackedMasks",
    "Protocol",
    "box_iou",
    "boxes_from_maps",
    "boxes_from_masks",
    "cam",
    "crop_boxes",
    "localize",
    "resize_boxes",
    "tap",
]

_ON_FIRST_USE = ("data", "evaluation", "metrics", "models", "training")


def __getattr__(name: str) -> ModuleType:
    if name in _ON_FIRST_USE:
        return importlib.import_module(f"fastcam.{name}")
    raise AttributeError(f"module 'fastcam' has no attribute {name!r}")
