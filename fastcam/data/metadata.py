"""The metadata folders of wsolevaluation: any data set as four text files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from fastcam.boxes import BoxEnds
from fastcam.data.columns import read_columns
from fastcam.data.lines import DataError, Line, checked_box, read_lines, read_table
from fastcam.data.record import NO_BOXES, OnBad, Record, Split, raising
from fastcam.images import PictureError, picture_size

__all__ = ["metadata_folder", "read_metadata"]

_T = TypeVar("_T")

# Their boxes of CUB are x + width, those of ImageNet the annotators' last pixels.
_ENDS: Mapping[str, BoxEnds] = {"CUB": "exclusive"}


def metadata_folder(root: str | os.PathLike[str], dataset: str = "", split: str = "test") -> Path:
    """Find the folder with ``image_ids.txt``: ``root/dataset/split``, ``root/split`` or ``root`` itself.

    Raises:
        DataError: none of them has it.
    """
    places = [Path(root, dataset, split), Path(root, split), Path(root)]
    for place in places:
        if (place / "image_ids.txt").is_file():
            return place
    listed = ", ".join(str(place) for place in dict.fromkeys(places))
    raise DataError(f"{os.fspath(root)}: no image_ids.txt in {listed}")


def read_metadata(
    root: str | os.PathLike[str],
    split: str = "test",
    *,
    dataset: str = "",
    images: str | os.PathLike[str] | None = None,
    masks: str | os.PathLike[str] | None = None,
    proxy: bool = False,
    truth: bool = True,
    on_bad: OnBad = raising,
) -> Split:
    r"""Read a metadata folder as wsolevaluation (Choe et al., 2020) ships them, of any data set.

    ``image_ids.txt`` (path), ``class_labels.txt`` (path,label), ``image_sizes.txt`` (path,width,height; may be empty)
    and ``localization.txt``: boxes (path,x0,y0,x1,y1), masks (path,mask,ignore; ignore on an image's first line alone)
    or nothing. An image may have several lines there. Images that ``image_ids.txt`` does not list are passed over in
    the other files.

    Args:
        root: the folder, or what it lies in: ``root/dataset/split`` and ``root/split`` are tried first.
        split: its name.
        dataset: the data set's name; ``"CUB"`` says that x1 and y1 of the boxes are exclusive.
        images: the folder that the paths are below; by default the current one. Where ``image_sizes.txt`` is empty and
            there are boxes, the pictures' headers say the sizes.
        masks: the folder that the masks' paths are below, or, as wsolevaluation has it, one with ``OpenImages/``
            between; by default ``images``.
        proxy: read ``image_ids_proxy.txt``, the part of a training set that stands for it.
        truth: read ``localization.txt``; without, there are neither boxes nor masks and the file need not be there.
        on_bad: called for each picture that cannot be read where sizes are missing; it is then left out.

    Returns:
        The :class:`Split`, in the order of ``image_ids.txt``. Classes are called by the pictures' folders where these
        and the labels match one to one.

    Raises:
        DataError: a missing file, a malformed line, an id that occurs twice or that has no label, size, box or mask, a
            box outside its picture; with file and line.
        PictureError: a picture that cannot be read, without ``on_bad``.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name, text in {
        ...         "image_ids.txt": "wren/1.jpg",
        ...         "class_labels.txt": "wren/1.jpg,0",
        ...         "image_sizes.txt": "wren/1.jpg,500,335",
        ...         "localization.txt": "wren/1.jpg,60,27,385,331\nwren/1.jpg,0,0,20,20",
        ...     }.items():
        ...         _ = pathlib.Path(root, name).write_text(text)
        ...     split = read_metadata(root)
        >>> split.classes, split[0].size, split[0].boxes.tolist()
        (('wren',), (335, 500), [[60.0, 27.0, 385.0, 331.0], [0.0, 0.0, 20.0, 20.0]])
    """
    folder = metadata_folder(root, dataset, split)
    pictures = Path(images) if images is not None else Path()
    end = _ENDS.get(dataset.partition("_")[0], "inclusive")
    columns = read_columns(folder, "image_ids_proxy.txt" if proxy else "image_ids.txt", pictures, truth=truth)
    if columns is not None:
        classes = _classes(columns.labels.tolist(), columns.folders())
        return Split(dataset or Path(root).name, split, columns, classes, end)
    ids = read_table(folder / ("image_ids_proxy.txt" if proxy else "image_ids.txt"), ("path",), separator="\n")
    if not ids:
        raise DataError(f"{folder / 'image_ids.txt'}: no image ids")
    labels = read_table(folder / "class_labels.txt", ("path", "label"), separator=",", right=True)
    sizes = read_table(folder / "image_sizes.txt", ("path", "width", "height"), separator=",", right=True)
    boxes, mask_lines = _localization(folder / "localization.txt", ids) if truth else ({}, {})
    root_of_masks = _masks_root(Path(masks) if masks is not None else pictures)
    records = []
    for line in ids.values():
        name = line.below(0, "path")
        label = _of(labels, line, "class_labels.txt").whole(1, "label")
        size = _size(_of(sizes, line, "image_sizes.txt")) if sizes else None
        if boxes and size is None:
            try:
                size = picture_size(pictures / name)
            except PictureError as error:
                on_bad(error)
                continue
        corners = ("x0", "y0", "x1", "y1")
        found = (
            [checked_box(one, one.numbers(1, corners), size) for one in _of(boxes, line, "localization.txt")]
            if boxes
            else []
        )
        parts = _of(mask_lines, line, "localization.txt") if mask_lines else []
        ignore = parts[0].below(2, "ignore") if parts and parts[0].fields[2] else ""
        records.append(
            Record(
                name,
                pictures / name,
                label,
                np.stack(found) if found else NO_BOXES,
                size,
                tuple(root_of_masks / one.below(1, "mask") for one in parts),
                root_of_masks / ignore if ignore else None,
            )
        )
    classes = _classes([one.label for one in records], [Path(one.id).parent.name for one in records])
    return Split(dataset or Path(root).name, split, tuple(records), classes, end)


def _localization(path: Path, ids: Mapping[str, Line]) -> tuple[dict[str, list[Line]], dict[str, list[Line]]]:
    """Lines with boxes and lines with masks, by id; a file has one kind."""
    kinds: tuple[dict[str, list[Line]], dict[str, list[Line]]] = ({}, {})
    columns: tuple[str, ...] | None = None
    for line in read_lines(path, ("line",), separator="\n"):
        if columns is None:
            commas = line.fields[0].count(",")
            columns = ("path", "mask", "ignore") if commas < 4 else ("path", "x0", "y0", "x1", "y1")
        fields = tuple(field.strip() for field in line.fields[0].rsplit(",", len(columns) - 1))
        split = replace(line, fields=fields)
        if len(fields) != len(columns):
            raise split.error(f"expected {','.join(columns)}, got {line.fields[0]!r}")
        if fields[0] not in ids:
            continue
        lines = kinds[len(columns) == 3].setdefault(fields[0], [])
        if len(columns) == 3 and lines and fields[2]:
            raise split.error(f"an ignore mask may stand on an image's first line alone, got {fields[2]!r}")
        if len(columns) == 3 and not fields[1]:
            raise split.error("the mask's path is empty")
        lines.append(split)
    return kinds


def _of(rows: Mapping[str, _T], line: Line, name: str) -> _T:
    """Look up what another file says of the id in a line."""
    try:
        return rows[line.fields[0]]
    except KeyError:
        raise line.error(f"{line.fields[0]!r} has no line in {name}") from None


def _size(line: Line) -> tuple[int, int]:
    return line.whole(2, "height", least=1), line.whole(1, "width", least=1)


def _masks_root(folder: Path) -> Path:
    return folder / "OpenImages" if (folder / "OpenImages").is_dir() else folder


def _classes(labels: Sequence[int], folders: Sequence[str]) -> tuple[str, ...]:
    """Name classes by the pictures' folders where each folder has one class and each class one folder."""
    count = max(labels, default=-1) + 1
    pairs = set(zip(labels, folders, strict=True))
    named = dict(pairs)
    if len(pairs) == len(named) == len(set(named.values())) and "" not in named.values():
        return tuple(named.get(label, f"class {label}") for label in range(count))
    return tuple(f"class {label}" for label in range(count))
