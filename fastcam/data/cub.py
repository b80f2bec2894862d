"""CUB-200-2011 as it is distributed: a folder of text files and ``images/``."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastcam.data.lines import DataError, Line, checked_box, read_table
from fastcam.data.record import NO_BOXES, OnBad, Record, Split, raising
from fastcam.images import PictureError, picture_size

__all__ = ["is_cub", "read_cub"]

_SPLITS = {"train": "1", "test": "0"}

# The files that have one line for each line of images.txt.
_TABLES = {
    "train_test_split.txt": ("id", "is_train"),
    "image_class_labels.txt": ("id", "class"),
}
_BOXES = ("bounding_boxes.txt", ("id", "x", "y", "width", "height"))


def is_cub(root: str | os.PathLike[str]) -> bool:
    """Whether a folder is laid out as CUB-200-2011 is."""
    # With any of its other files, so that reading it names the one that is missing.
    others = (*_TABLES, _BOXES[0])
    return Path(root, "images.txt").is_file() and any(Path(root, name).is_file() for name in others)


def read_cub(
    root: str | os.PathLike[str], split: str = "test", *, boxes: bool = True, on_bad: OnBad = raising
) -> Split:
    r"""Read CUB-200-2011 (Wah et al., 2011), or a folder in its layout with fewer classes or images.

    The files are ``images.txt`` (id path), ``image_class_labels.txt`` (id class), ``train_test_split.txt``
    (id is_train), ``bounding_boxes.txt`` (id x y width height) and ``classes.txt`` (class name). Classes are numbered
    as ``classes.txt`` lists them, from 0. A box is ``x, y, x + width, y + height``, the last two exclusive, clipped to
    the picture's last pixel as the evaluators of the field have it.

    Args:
        root: the folder.
        split: ``"train"`` or ``"test"``.
        boxes: read ``bounding_boxes.txt``; without, there are no boxes and the file need not be there.
        on_bad: called for each picture that cannot be read, which is then left out. Only the header is read here.

    Returns:
        The :class:`Split`, in the order of ``images.txt``.

    Raises:
        DataError: a missing file, a malformed line, an id that occurs twice or has no line in one of the files, a box
            outside its picture; with file and line.
        PictureError: a picture that cannot be read, without ``on_bad``.
        ValueError: another split.

    Example:
        >>> import pathlib, tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     root = pathlib.Path(folder)
        ...     (root / "images").mkdir()
        ...     Image.new("RGB", (64, 48)).save(root / "images" / "wren.png")
        ...     for name, text in {
        ...         "images.txt": "1 wren.png",
        ...         "image_class_labels.txt": "1 1",
        ...         "train_test_split.txt": "1 0",
        ...         "bounding_boxes.txt": "1 10.0 5.0 20.0 30.0",
        ...         "classes.txt": "1 Wren",
        ...     }.items():
        ...         _ = (root / name).write_text(text + "\n")
        ...     (record,) = read_cub(root, "test")
        >>> record.label, record.size, record.boxes.tolist()
        (0, (48, 64), [[10.0, 5.0, 30.0, 35.0]])
    """
    if split not in _SPLITS:
        raise ValueError(f"split of CUB-200-2011 must be 'train' or 'test', got {split!r}")
    folder = Path(root)
    names = read_table(folder / "classes.txt", ("class", "name"), separator=None)
    labels = {number: label for label, number in enumerate(names)}
    images = read_table(folder / "images.txt", ("id", "path"), separator=None)
    tables = {name: read_table(folder / name, columns, separator=None) for name, columns in _TABLES.items()}
    boxed = read_table(folder / _BOXES[0], _BOXES[1], separator=None) if boxes else {}
    seen: dict[str, int] = {}
    records = []
    for line in images.values():
        part, kind = (_of(rows, line, folder / name) for name, rows in tables.items())
        box = _of(boxed, line, folder / _BOXES[0]) if boxes else None
        if part.fields[1] not in _SPLITS.values():
            raise part.error(f"is_train must be 0 or 1, got {part.fields[1]!r}")
        if kind.fields[1] not in labels:
            raise kind.error(f"class {kind.fields[1]!r} is not in classes.txt")
        path = line.below(1, "path")
        if seen.setdefault(path, line.number) != line.number:
            raise line.error(f"path {path!r} stands in line {seen[path]} already")
        if part.fields[1] != _SPLITS[split]:
            continue
        try:
            size = picture_size(folder / "images" / path)
        except PictureError as error:
            on_bad(error)
            continue
        found = NO_BOXES if box is None else _box(box, size)
        records.append(Record(path, folder / "images" / path, labels[kind.fields[1]], found, size))
    classes = tuple(line.fields[1] for line in names.values())
    return Split("CUB", split, tuple(records), classes, "exclusive", folder.resolve().name)


def _of(rows: dict[str, Line], line: Line, path: Path) -> Line:
    try:
        return rows[line.fields[0]]
    except KeyError:
        raise DataError(f"{path}: no line for image {line.fields[0]} ({line.place})") from None


def _box(line: Line, size: tuple[int, int]) -> NDArray[np.float64]:
    x, y, width, height = line.numbers(1, ("x", "y", "width", "height"))
    box = checked_box(line, [x, y, x + width, y + height], size)
    return np.minimum(box, [size[1] - 1, size[0] - 1] * 2)[None]
