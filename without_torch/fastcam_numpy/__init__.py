"""Object boxes from heat maps and masks as NumPy arrays, without PyTorch: fastcam's core behind its C interface."""

from fastcam_numpy.boxes import Boxes, Objects, boxes_from_maps, boxes_from_masks, objects_from_maps

__all__ = ["Boxes", "Objects", "boxes_from_maps", "boxes_from_masks", "objects_from_maps"]
