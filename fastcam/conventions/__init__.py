"""Boxes in the conventions of other tools, one file a tool: what counts as a box's end, its units, and its file."""

from fastcam.conventions.exports import Exports
from fastcam.conventions.image_boxes import ImageBoxes, Names
from fastcam.conventions.voc import voc_files
from fastcam.conventions.yolo import yolo_files

__all__ = ["Exports", "ImageBoxes", "Names", "voc_files", "yolo_files"]
