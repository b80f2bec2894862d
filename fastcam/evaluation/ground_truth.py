"""Ground-truth boxes of a split in evaluated pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastcam.data.geometry import Geometry
from fastcam.data.record import Split
from fastcam.images import PictureError

__all__ = ["ground_truth"]


def ground_truth(
    split: Split, geometry: Geometry, *, on_skipped: Callable[[ValueError], None] | None = None
) -> list[NDArray[np.int64] | None]:
    """Move the boxes of every record to the evaluated pixels.

    Args:
        split: with boxes or without.
        geometry: of the evaluation.
        on_skipped: called for each record all of whose boxes a crop removes; by default that is raised.

    Returns:
        (G, 4) int64 for each record, boxes outside a crop left out; None where none is left of several.

    Raises:
        PictureError: all boxes of a record lie outside the crop, without ``on_skipped``.

    Example:
        >>> from pathlib import Path
        >>> from fastcam.data import CROP, Record
        >>> record = Record("a.jpg", Path("a.jpg"), 0, np.array([[60.0, 27, 384, 330], [0, 0, 9, 9]]), (335, 500))
        >>> ground_truth(Split("toys", "test", (record,), ("cube",)), CROP)[0].tolist()
        [[14, 4, 180, 223]]
    """
    moved: list[NDArray[np.int64] | None] = []
    for record in split:
        if len(record.boxes) == 0 or record.size is None:
            moved.append(np.zeros((0, 4), np.int64))
            continue
        boxes = geometry.boxes(record.boxes, record.size, box_end=split.box_end)
        inside = boxes[(boxes[:, 0] <= boxes[:, 2]) & (boxes[:, 1] <= boxes[:, 3])]
        if len(inside) == 0:
            error = PictureError(f"{record.id}: all of its boxes lie outside the crop")
            if on_skipped is None:
                raise error
            on_skipped(error)
        moved.append(inside if len(inside) else None)
    return moved
