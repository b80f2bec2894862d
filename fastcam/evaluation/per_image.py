"""One row an image: what was predicted, its box at the threshold that was chosen for all, and how well it fits."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from fastcam.export import write_table

__all__ = ["COLUMNS", "Row", "write_rows"]

COLUMNS = ("id", "label", "predicted", "top1", "top5", "fits", "x0", "y0", "x1", "y1", "iou", "iou_of_any", "mask_iou")
"""The columns of the file: the image's id and label; the network's class, whether it is right and among the first five,
and whether the box at the protocol's threshold fits (IoU 0.5); the largest contour's box at the chosen threshold in
evaluated pixels with its IoU, the IoU of any contour at V2's; the mask's IoU. What there is none of is left empty."""


@dataclass
class Row:
    """One image; see :data:`COLUMNS`."""

    id: str
    label: int
    predicted: int | None = None
    top1: bool | None = None
    top5: bool | None = None
    fits: bool | None = None
    box: tuple[int, int, int, int] | None = None
    iou: float | None = None
    iou_of_any: float | None = None
    mask_iou: float | None = None

    @property
    def quality(self) -> float:
        """What the best and the worst are by: the IoU of the box, or of the mask where there are no boxes."""
        return self.iou if self.iou is not None else self.mask_iou or 0.0


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
    write_table(path, COLUMNS, map(_fields, rows))


def _fields(row: Row) -> tuple[object, ...]:
    flags = (None if flag is None else int(flag) for flag in (row.top1, row.top5, row.fits))
    ious = (None if iou is None else f"{iou:.6f}" for iou in (row.iou, row.iou_of_any, row.mask_iou))
    return (row.id, row.label, row.predicted, *flags, *(row.box or [None] * 4), *ious)
