"""Boxes as supervision's ``Detections``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastcam.conventions.image_boxes import ImageBoxes, Names, class_names, known_labels

__all__ = ["supervision_detections"]


def supervision_detections(images: Sequence[ImageBoxes], names: Names | None) -> list[Any]:
    """Return ``supervision.Detections``, one an image.

    Their areas, IoUs and files take x1 - x0 for a box's width: half-open, as boxes are here. (What supervision makes of
    masks, ``mask_to_xyxy``, has the last pixels inside unless it is told ``coordinate_convention="exclusive"``.)
    """
    try:
        from supervision import Detections
    except ImportError as error:
        raise ImportError("to_supervision needs supervision: pip install supervision") from error
    results = []
    for one in images:
        told = names is not None or one.names is not None
        results.append(
            Detections(
                xyxy=one.boxes.detach().cpu().numpy().astype(np.float32).reshape(-1, 4),
                confidence=None if one.scores is None else one.scores.detach().cpu().numpy().astype(np.float32),
                mask=None if one.masks is None or not len(one.boxes) else one.masks().cpu().numpy(),
                class_id=None if one.labels is None else np.array(known_labels(one, "to_supervision"), int),
                data={"class_name": np.array(class_names(one, names, "to_supervision"), str)} if told else {},
            )
        )
    return results
