"""Data sets of weakly supervised object localization: their own folders and how they are read."""

from fastcam.data.cub import read_cub
from fastcam.data.hierarchy import Hierarchy, read_hierarchy
from fastcam.data.imagenet import read_imagenet
from fastcam.data.layout import read_dataset
from fastcam.data.lines import DataError
from fastcam.data.masks import read_mask
from fastcam.data.metadata import read_metadata
from fastcam.data.openimages import read_openimages
from fastcam.data.record import Record, Split
from fastcam.data.tiny_imagenet import read_tiny_imagenet

__all__ = [
    "DataError",
    "Hierarchy",
    "Record",
    "Split",
    "read_cub",
    "read_dataset",
    "read_hierarchy",
    "read_imagenet",
    "read_mask",
    "read_metadata",
    "read_openimages",
    "read_tiny_imagenet",
]
