"""One row an image: what was predicted, its box at the threshold that was chosen for all, and how well it fits."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from fastcam.result_files import write_table

__all__ = ["CHOSEN_COLUMNS", "COLUMNS", "Row", "write_rows"]

COLUMNS = ("id", "label", "predicted", "top1", "top5", "fits", "x0", "y0", "x1", "y1", "iou", "iou_of_any", "mask_iou")
"""The columns of the file: the image's id and label; the network's class, whether it is right and among the first five.

``fits``, the box in evaluated pixels and ``iou`` are of one box and one comparison: of a network those of the protocol,
with its fixed threshold, as GT-Loc counts them; of score maps those of the largest contour at the threshold chosen for
all. ``fits``: the IoU is at least 0.5. ``iou_of_any`` is the IoU of any contour at V2's chosen threshold, ``mask_iou``
the mask's. What there is none of is left empty."""

CHOSEN_COLUMNS = ("chosen_x0", "chosen_y0", "chosen_x1", "chosen_y1", "chosen_iou")
"""Of a network, after these: the largest contour at the threshold chosen for all (the oracle's, or another split's), as
MaxBoxAcc counts it."""


@dataclass
class Row:
    """One image; see :data:`COLUMNS` and :data:`CHOSEN_COLUMNS`."""

    id: str
    label: int
    predicted: int | None = None
    top1: bool | None = None
    top5: bool | None = None
    fits: bool | None = None
    box: tuple[float, float, float, float] | None = None
    iou: float | None = None
    iou_of_any: float | None = None
    mask_iou: float | None = None
    chosen_box: tuple[int, int, int, int] | None = None
    chosen_iou: float | None = None

    @property
    def shown(self) -> tuple[float, float, float, float] | None:
        """The box at the threshold chosen for all."""
        return self.chosen_box or self.box

    @property
    def quality(self) -> float:
        """What the best and the worst are by: the IoU of :attr:`shown`, or of the mask where there are no boxes."""
        ious = (self.chosen_iou, self.iou, self.mask_iou)
        return next((iou for iou in ious if iou is not None), 0.0)


def write_rows(path: str | os.PathLike[str], rows: Iterable[Row]) -> None:
    """Write rows as CSV (UTF-8, one header line), whole or not at all; true and false are 1 and 0.

    Args:
        path: the file. Its folder must exist.
        rows: in the order they are written in.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_rows(pathlib.Path(folder, "a.csv"), [Row("a.jpg", 3, box=(1, 2, 30, 40), iou=0.5, iou_of_any=1)])
        ...     print(pathlib.Path(folder, "a.csv").read_text().splitlines()[1])
        a.jpg,3,,,,,1,2,30,40,0.500000,1.000000,
    """
    rows = list(rows)
    if any(row.chosen_box is not None for row in rows):
        write_table(path, COLUMNS + CHOSEN_COLUMNS, ((*_fields(row), *_chosen(row)) for row in rows))
    else:
        write_table(path, COLUMNS, map(_fields, rows))


def _fields(row: Row) -> tuple[object, ...]:
    flags = (None if flag is None else int(flag) for flag in (row.top1, row.top5, row.fits))
    ious = map(_iou, (row.iou, row.iou_of_any, row.mask_iou))
    return (row.id, row.label, row.predicted, *flags, *_corners(row.box), *ious)


def _chosen(row: Row) -> tuple[object, ...]:
    return (*_corners(row.chosen_box), _iou(row.chosen_iou))


def _corners(box: tuple[float, float, float, float] | None) -> list[int | None]:
    # The boxes of networks too are whole pixels.
    return [None] * 4 if box is None else [int(value) for value in box]


def _iou(iou: float | None) -> str | None:
    return None if iou is None else f"{iou:.6f}"
