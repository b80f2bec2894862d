"""Object boxes from a classifier's feature maps.

Implements Bae, Noh, Kim, "Rethinking Class Activation Mapping for Weakly Supervised Object Localization", ECCV 2020.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fastcam.activation import cam
from fastcam.boxes import box_iou, crop_boxes, resize_boxes
from fastcam.localization import Localization, boxes_from_maps, localize
from fastcam.masks import MaskBoxes, PackedMasks, boxes_from_masks
from fastcam.objects import Objects
from fastcam.padded import PaddedObjects, localize_padded, padded_boxes_from_maps
from fastcam.pooling import TAP, tap
from fastcam.protocol import AUTHORS, PAPER, VANILLA, WSOLEVAL, Protocol

if TYPE_CHECKING:
    from fastcam.exporting import export
    from fastcam.extractors import Localizer
    from fastcam.network import Network
    from fastcam.sources import load
    from fastcam.trees import BoxTree, box_tree

__all__ = [
    "AUTHORS",
    "PAPER",
    "TAP",
    "VANILLA",
    "WSOLEVAL",
    "BoxTree",
    "Localization",
    "Localizer",
    "MaskBoxes",
    "Network",
    "Objects",
    "PackedMasks",
    "PaddedObjects",
    "Protocol",
    "box_iou",
    "box_tree",
    "boxes_from_maps",
    "boxes_from_masks",
    "cam",
    "crop_boxes",
    "export",
    "load",
    "localize",
    "localize_padded",
    "padded_boxes_from_maps",
    "resize_boxes",
    "tap",
]

# What needs more than torch and numpy, or takes a while to import, is loaded when it is first asked for.
_PACKAGES = ("data", "evaluation", "extractors", "methods", "metrics", "models", "reproduce", "training")
_NAMES = {
    "BoxTree": "fastcam.trees",
    "Localizer": "fastcam.extractors",
    "Network": "fastcam.network",
    "box_tree": "fastcam.trees",
    "export": "fastcam.exporting",
    "load": "fastcam.sources",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _PACKAGES:
        return importlib.import_module(f"fastcam.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'fastcam' has no attribute {name!r}")
