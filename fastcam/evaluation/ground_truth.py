"""Ground-truth boxes of a split in evaluated pixels, and how found ones are compared with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fastcam.data.geometry import Geometry
from fastcam.data.record import Split
from fastcam.images import PictureError

__all__ = ["Comparison", "ground_truth"]

_Number = TypeVar("_Number", np.int64, np.float64)


@dataclass(frozen=True)
class Comparison:
    """How boxes that a protocol finds are compared with ground truth.

    Attributes:
        inclusive: x1 and y1 of both count as pixels inside, as the evaluators of the field have it; otherwise both are
            half-open.
        shift: 1 where the ends of the ground truth are last pixels inside and the comparison is half-open.

    Example:
        >>> from fastcam.data import RESIZE
        >>> split = Split("toys", "test", (), (), box_end="inclusive")
        >>> Comparison.of(split, RESIZE, inclusive=False).moved(np.array([[0, 0, 9, 4]])).tolist()
        [[0, 0, 10, 5]]
    """

    inclusive: bool
    shift: int = 0

    @classmethod
    def of(cls, split: Split, geometry: Geometry, *, inclusive: bool) -> Comparison:
        """Return the comparison with a split's boxes as ``geometry.boxes`` gives them."""
        # A crop needs the last pixels, and gives them.
        last = geometry.crop is not None or split.box_end == "inclusive"
        return cls(inclusive, int(last and not inclusive))

    def moved(self, boxes: NDArray[_Number]) -> NDArray[_Number]:
        """Return ground truth (..., 4) with its ends as the comparison takes them."""
        moved: NDArray[_Number] = boxes + np.array([0, 0, self.shift, self.shift], boxes.dtype)
        return moved


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
