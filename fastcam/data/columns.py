"""The lines of metadata files as columns: a million pictures in arrays, of which each becomes a record when asked for.

What is read here is what every line of usual files looks like. Of anything else :func:`read_columns` gives None, and
:func:`fastcam.data.read_metadata` reads line by line, which names the line and says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from fastcam.data.lines import outside
from fastcam.data.record import NO_BOXES, Record

__all__ = ["Columns", "read_columns"]

_NUMBER = frozenset("0123456789.+-eE")
# What a path may hold that pathlib reads otherwise than split at "/", or that leads out of its folder.
_UNUSUAL = ("..", "\\", ":", "\0", "//", "/./", "\n/", "\n./", "/\n")


class _UnusualError(Exception):
    """A file that has to be read line by line."""


@dataclass(frozen=True, eq=False)
class Columns(Sequence[Record]):
    """The records of N pictures, made when they are asked for.

    Attributes:
        folder: that the ids are below.
        ids: of the pictures.
        labels: (N,) int64.
        sizes: (N, 2) int64, H and W; None where nothing says them.
        boxes: (M, 4) float64, those of all pictures in their order; None where there are none.
        ends: (N + 1,) int64: the boxes of picture i are ``boxes[ends[i] : ends[i + 1]]``.

    Example:
        >>> two = Columns(Path("in"), ["a/1.png", "a/2.png"], np.array([0, 1]), None, None, np.zeros(3, int))
        >>> len(two), two[-1].path.as_posix(), two[-1].label, [one.id for one in two[:1]], two.folders()
        (2, 'in/a/2.png', 1, ['a/1.png'], ['a', 'a'])
    """

    folder: Path
    ids: list[str]
    labels: NDArray[np.int64]
    sizes: NDArray[np.int64] | None
    boxes: NDArray[np.float64] | None
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Record, ...]: ...
    def __getitem__(self, index: int | slice) -> Record | tuple[Record, ...]:
        if isinstance(index, slice):
            return tuple(self[number] for number in range(*index.indices(len(self))))
        number = range(len(self))[index]
        name = self.ids[number]
        size: tuple[int, int] | None = None
        if self.sizes is not None:
            height, width = self.sizes[number].tolist()
            size = (height, width)
        boxes = NO_BOXES if self.boxes is None else self.boxes[self.ends[number] : self.ends[number + 1]]
        return Record(name, self.folder / name, int(self.labels[number]), boxes, size)

    def folders(self) -> list[str]:
        """Return the name of the folder that each picture lies in."""
        return [name.rpartition("/")[0].rpartition("/")[2] for name in self.ids]


def read_columns(folder: Path, ids_file: str, pictures: Path, *, truth: bool) -> Columns | None:
    """Read a metadata folder whose every line is usual, of pictures with boxes or without.

    Args:
        folder: with the files that :func:`fastcam.data.read_metadata` describes.
        ids_file: which of them lists the ids.
        pictures: the folder that the ids are below.
        truth: read ``localization.txt``.

    Returns:
        The columns; None where a file is missing or a line is not usual.
    """
    try:
        ids = [line for line in map(str.strip, _lines(folder / ids_file)) if line]
        text = f"\n{chr(10).join(ids)}\n"
        if not ids or len(set(ids)) < len(ids) or any(sign in text for sign in _UNUSUAL):
            return None
        labels = _whole(folder / "class_labels.txt", ids, 1)
        if labels is None:
            return None
        sizes = _whole(folder / "image_sizes.txt", ids, 2)
        sizes = None if sizes is None else np.ascontiguousarray(sizes[:, ::-1])
        boxes, ends = None, np.zeros(len(ids) + 1, np.int64)
        if truth:
            boxes, ends = _boxes(folder / "localization.txt", ids, sizes)
    except (OSError, ValueError, _UnusualError):
        return None
    return Columns(pictures, ids, labels[:, 0], sizes, boxes, ends)


def _lines(path: Path) -> Iterator[str]:
    with open(path, encoding="utf-8") as file:
        yield from file


def _rows(path: Path, ids: list[str], count: int) -> Iterator[tuple[int, list[str]]]:
    """The lines of a file: which id each is of, -1 for one that is not listed, and id and fields."""
    place: dict[str, int] | None = None
    number = 0
    for line in _lines(path):
        fields = line.strip().rsplit(",", count)
        if len(fields) != count + 1:
            if fields == [""]:
                continue
            raise _UnusualError
        # Most files have the ids' own order.
        if place is None and number < len(ids) and fields[0] == ids[number]:
            yield number, fields
            number += 1
            continue
        if place is None:
            place = {name: at for at, name in enumerate(ids)}
        yield place.get(fields[0], -1), fields


def _whole(path: Path, ids: list[str], count: int) -> NDArray[np.int64] | None:
    """Whole numbers of each id, (N, count), at least 1 where there are two; None of an empty file."""
    found = np.full((len(ids), count), -1, np.int64)
    others: set[str] = set()
    values: list[int] = []
    places: list[int] = []
    for at, (name, *texts) in _rows(path, ids, count):
        if at < 0:
            if name in others:
                raise _UnusualError
            others.add(name)
            continue
        places.append(at)
        for text in texts:
            if not (text.isascii() and text.isdigit()):
                raise _UnusualError
            values.append(int(text))
    if not places and not others:
        return None
    if len(places) != len(ids) or len(set(places)) < len(ids):
        raise _UnusualError
    found[places] = np.array(values, np.int64).reshape(-1, count)
    if count == 2 and found.min() < 1:
        raise _UnusualError
    return found


def _boxes(
    path: Path, ids: list[str], sizes: NDArray[np.int64] | None
) -> tuple[NDArray[np.float64] | None, NDArray[np.int64]]:
    """The boxes of all ids, those of each in the order of the lines, and where those of each end."""
    places: list[int] = []
    texts: list[str] = []
    for at, (_, *fields) in _rows(path, ids, 4):
        if at >= 0:
            places.append(at)
            texts += fields
        elif not _are_numbers(fields):
            # As of masks: how many columns a file has says its first line.
            raise _UnusualError
    ends = np.zeros(len(ids) + 1, np.int64)
    if not places:
        if any(line.strip() for line in _lines(path)):
            raise _UnusualError
        return None, ends
    if sizes is None or not _are_numbers(texts):
        raise _UnusualError
    order = np.argsort(places, kind="stable")
    boxes = np.array(list(map(float, texts))).reshape(-1, 4)[order]
    counts = np.bincount(places, minlength=len(ids))
    if not counts.all() or outside(boxes, np.repeat(sizes, counts, axis=0)).any():
        raise _UnusualError
    np.cumsum(counts, out=ends[1:])
    return boxes, ends


def _are_numbers(texts: Iterable[str]) -> bool:
    return set("".join(texts)) <= _NUMBER
