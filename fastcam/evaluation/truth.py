"""The ground truth of a split in evaluated pixels, moved there once: :class:`Truth`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import overload

import numpy as np
from numpy.typing import NDArray

from fastcam.boxes import BoxEnds
from fastcam.data.record import Record, Split
from fastcam.images import PictureError
from fastcam.inputs import Inputs
from fastcam.protocol import Protocol

__all__ = ["Boxes", "Truth", "ground_truth"]

Boxes = NDArray[np.int64] | None
"""The boxes (G, 4) of one image; None for an image that is left out."""


@dataclass(frozen=True, eq=False)
class Truth(Sequence[Boxes]):
    """Boxes and labels of the N images of a split; as a sequence, their boxes.

    Attributes:
        labels: (N,) int64, the classes.
        boxes: for each image (G, 4) int64, x0, y0, x1, y1 in evaluated pixels, with G = 0 where the data has none; None
            for an image that is left out.
        ends: whether x1 and y1 are the last pixels inside or the first outside.

    Example:
        >>> import fastcam
        >>> truth = Truth(np.array([0, 1]), (np.array([[0, 0, 9, 4]]), None), "inclusive")
        >>> truth.compared(fastcam.PAPER)[0].tolist(), truth.compared(fastcam.AUTHORS)[0].tolist()
        ([[0, 0, 10, 5]], [[0, 0, 9, 4]])
        >>> truth.used.tolist(), truth.has_boxes
        ([True, False], True)
    """

    labels: NDArray[np.int64]
    boxes: tuple[Boxes, ...]
    ends: BoxEnds

    @overload
    def __getitem__(self, index: int) -> Boxes: ...
    @overload
    def __getitem__(self, index: slice) -> Truth: ...
    def __getitem__(self, index: int | slice) -> Boxes | Truth:
        if isinstance(index, slice):
            return replace(self, labels=self.labels[index], boxes=self.boxes[index])
        return self.boxes[index]

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def used(self) -> NDArray[np.bool_]:
        """(N,) bool, the images that are not left out."""
        return np.array([boxes is not None for boxes in self.boxes], bool)

    @property
    def has_boxes(self) -> bool:
        """Whether any image has a box."""
        return any(boxes is not None and len(boxes) for boxes in self.boxes)

    def only(self, used: NDArray[np.bool_]) -> Truth:
        """Leave out the images for which ``used``, (N,) bool, is false."""
        return replace(self, boxes=tuple(boxes if use else None for boxes, use in zip(self, used, strict=True)))

    def compared(self, protocol: Protocol) -> Truth:
        """Return the boxes with their ends as a protocol's comparison takes them.

        Where it compares half-open boxes, ends that are last pixels inside move on to the first ones outside. Where it
        counts x1 and y1 as pixels inside, the boxes stay as they are: so do the evaluators of the field.
        """
        if self.ends == "exclusive" or protocol.iou == "inclusive":
            return self
        moved = (None if boxes is None else boxes + np.array([0, 0, 1, 1]) for boxes in self)
        return replace(self, boxes=tuple(moved), ends="exclusive")


def ground_truth(split: Split, inputs: Inputs, *, on_skipped: Callable[[ValueError], None] | None = None) -> Truth:
    """Move the boxes of every record to the evaluated pixels.

    Args:
        split: with boxes or without.
        inputs: how the pictures come to the evaluated pixels.
        on_skipped: called for each record all of whose boxes a crop removes; by default that is raised.

    Returns:
        The :class:`Truth`, boxes outside a crop left out; None where none is left of several.

    Raises:
        PictureError: all boxes of a record lie outside the crop, without ``on_skipped``; or the data set does not say
            how large a picture with boxes is, and it cannot be read.

    Example:
        >>> from pathlib import Path
        >>> from fastcam.inputs import CROP
        >>> record = Record("a.jpg", Path("a.jpg"), 0, np.array([[60.0, 27, 384, 330], [0, 0, 9, 9]]), (335, 500))
        >>> ground_truth(Split("toys", "test", (record,), ("cube",)), CROP)[0].tolist()
        [[14, 4, 180, 223]]
    """
    # A crop needs the last pixels, and gives them.
    ends: BoxEnds = split.ends if inputs.crop is None else "inclusive"
    records = list(split)
    labels = np.array([record.label for record in records], np.int64)
    every: list[Boxes] = [np.zeros((0, 4), np.int64)] * len(records)
    boxed = [(number, record) for number, record in enumerate(records) if len(record.boxes)]
    for (number, record), inside in zip(
        boxed, _moved([record for _, record in boxed], split.ends, inputs), strict=True
    ):
        every[number] = inside
        if not len(inside):
            error = PictureError(f"{record.id}: all of its boxes lie outside the crop")
            if on_skipped is None:
                raise error
            on_skipped(error)
            every[number] = None
    return Truth(labels, tuple(every), ends)


def _moved(records: Sequence[Record], ends: BoxEnds, inputs: Inputs) -> list[NDArray[np.int64]]:
    """The boxes of each record in evaluated pixels, those outside left out; all are moved at once where that can be."""
    if not records:
        return []
    sizes = [record.size or record.read().shape[:2] for record in records]
    counts = [len(record.boxes) for record in records]
    if inputs.fit == "stretch":
        of_each = np.repeat(np.array(sizes, np.int64), counts, axis=0)
        moved = inputs.boxes(np.concatenate([record.boxes for record in records]), of_each, ends=ends)
    else:
        each = zip(records, sizes, strict=True)
        moved = np.concatenate([inputs.boxes(record.boxes, size, ends=ends) for record, size in each])
    inside = (moved[:, 0] <= moved[:, 2]) & (moved[:, 1] <= moved[:, 3])
    last = np.cumsum(counts)
    if not inside.all():
        last = np.cumsum(inside)[last - 1]
        moved = moved[inside]
    stops = [0, *last.tolist()]
    return [moved[start:stop] for start, stop in pairwise(stops)]
