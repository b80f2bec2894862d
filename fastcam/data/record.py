"""One picture of a data set and what is known of it: :class:`Record`; and a part of a data set: :class:`Split`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from fastcam.boxes import BoxEnds
from fastcam.images import PictureError, read_picture

__all__ = ["NO_BOXES", "OnBad", "Record", "Split", "raising"]

OnBad = Callable[[PictureError], None]
"""What a reader calls for a picture that cannot be read, which is then left out; by default it raises."""

NO_BOXES: NDArray[np.float64] = np.zeros((0, 4))
NO_BOXES.setflags(write=False)


def raising(error: PictureError) -> None:
    """Raise what it is called with: the default for pictures that cannot be read."""
    raise error


@dataclass(frozen=True, eq=False, slots=True)
class Record:
    """One picture.

    Attributes:
        id: its path below the folder of the pictures, as score maps and metadata files call it.
        path: the file.
        label: its class, from 0.
        boxes: (G, 4) float64 ground truth, x0, y0, x1, y1 in pixels of the picture, as the data set's files hold them
            (what x1 and y1 mean says :attr:`Split.ends`).
        size: (H, W) in pixels; None where the data set does not say.
        masks: files of the object's masks, one an instance.
        ignore: file of the region that counts neither as object nor as background.
    """

    id: str
    path: Path
    label: int
    boxes: NDArray[np.float64] = field(default_factory=lambda: NO_BOXES)
    size: tuple[int, int] | None = None
    masks: tuple[Path, ...] = ()
    ignore: Path | None = None

    def read(self) -> NDArray[np.uint8]:
        """Read the picture, rows and columns as they are stored: its EXIF orientation does not count.

        Returns:
            (H, W, 3) uint8, RGB.

        Raises:
            PictureError: it cannot be read, or has another size than the data set says.
        """
        pixels = read_picture(self.path, upright=False)
        if self.size is not None and pixels.shape[:2] != self.size:
            said, found = (f"{width}x{height}" for height, width in (self.size, pixels.shape[:2]))
            raise PictureError(f"{self.path}: the picture is {found} (width x height), its data set says {said}")
        return pixels


@dataclass(frozen=True, eq=False)
class Split(Sequence[Record]):
    """The records of one part of a data set, in the data set's order.

    Attributes:
        dataset: its name.
        name: of the part: train, val or test.
        records: the pictures.
        classes: names of the classes, by label.
        ends: x1 and y1 of the boxes are the last pixels inside (``"inclusive"``), or the first outside.
        folder: the name of the folder it was read from, where ``dataset`` is that of a layout; see :attr:`title`.

    Example:
        >>> from pathlib import Path
        >>> split = Split("toys", "test", (Record("a.png", Path("toys/a.png"), 0),), ("cube",))
        >>> len(split), split[0].id, split.has_boxes
        (1, 'a.png', False)
    """

    dataset: str
    name: str
    records: Sequence[Record]
    classes: tuple[str, ...]
    ends: BoxEnds = "inclusive"
    folder: str = ""

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Split: ...
    def __getitem__(self, index: int | slice) -> Record | Split:
        if isinstance(index, slice):
            return replace(self, records=self.records[index])
        return self.records[index]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    @property
    def title(self) -> str:
        """What reports call the data set: any data may have the layout of a known one."""
        return self.folder or self.dataset

    @property
    def has_boxes(self) -> bool:
        """Whether every picture has a box."""
        return bool(self.records) and all(len(record.boxes) for record in self.records)

    @property
    def has_masks(self) -> bool:
        """Whether every picture has a mask."""
        return bool(self.records) and all(record.masks for record in self.records)
