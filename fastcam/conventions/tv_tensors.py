"""Boxes as torchvision's ``tv_tensors.BoundingBoxes``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastcam.conventions.image_boxes import ImageBoxes, known_size

__all__ = ["tv_tensors"]


def tv_tensors(images: Sequence[ImageBoxes]) -> list[dict[str, Any]]:
    """Return what torchvision's transforms and detectors take of an image: ``boxes``, and ``labels`` and ``scores``.

    ``BoundingBoxes`` in the format XYXY are edges between pixels, a width x1 - x0: half-open, as boxes are here.
    """
    sized = list(known_size(images, "to_tv_tensors"))
    try:
        from torchvision.tv_tensors import BoundingBoxes, BoundingBoxFormat
    except ImportError as error:
        raise ImportError("to_tv_tensors needs torchvision 0.16 or later: pip install torchvision") from error
    results = []
    for one, size in sized:
        boxes = BoundingBoxes(one.boxes.reshape(-1, 4), format=BoundingBoxFormat.XYXY, canvas_size=size)
        known = {"labels": one.labels, "scores": one.scores}
        results.append({"boxes": boxes, **{name: part for name, part in known.items() if part is not None}})
    return results
