"""Boxes as FiftyOne's ``Detections``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastcam.conventions.image_boxes import ImageBoxes, Names, class_names, clipped_boxes, known_size

__all__ = ["fiftyone_detections"]


def fiftyone_detections(images: Sequence[ImageBoxes], names: Names | None) -> list[Any]:
    """Return ``fiftyone.Detections``, one an image: ``bounding_box`` is x, y, w, h in fractions of the image."""
    sized = list(known_size(images, "to_fiftyone"))
    labels = [class_names(one, names, "to_fiftyone") for one in images]
    try:
        from fiftyone import Detection, Detections
    except ImportError as error:
        raise ImportError("to_fiftyone needs FiftyOne: pip install fiftyone") from error
    results = []
    for (one, size), its in zip(sized, labels, strict=True):
        height, width = size
        scores = [None] * len(its) if one.scores is None else one.scores.tolist()
        rows = zip(clipped_boxes(one, size).tolist(), its, scores, strict=True)
        results.append(
            Detections(
                detections=[
                    Detection(
                        label=label,
                        bounding_box=[x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height],
                        confidence=score,
                    )
                    for (x0, y0, x1, y1), label, score in rows
                ]
            )
        )
    return results
