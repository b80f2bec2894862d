"""The formats of a run's results: which files each is, what is in them, and whose place they must not take."""

from __future__ import annotations

import errno
import io
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

import torch

from fastcam.conventions import ImageBoxes, voc_files, yolo_files
from fastcam.conventions.image_boxes import paths_below
from fastcam.files import write_whole
from fastcam.folders import OVERLAYS, holds_results
from fastcam.result_files import CSV_COLUMNS, Detection, Picture, coco_bytes, csv_bytes

__all__ = [
    "FOLDERS",
    "FORMATS",
    "USUAL",
    "Run",
    "check_folder",
    "check_formats",
    "first_file",
    "is_beside",
    "remove",
    "write_run",
]

FORMATS: Final[dict[str, tuple[str, ...]]] = {
    "csv": ("boxes.csv",),
    "coco": ("boxes.json", "dataset.json"),
    "parquet": ("boxes.parquet",),
    "yolo": ("labels",),
    "voc": ("Annotations",),
}
"""The files of each format, or its folder of a file a picture."""

USUAL: Final = ("csv", "coco")
"""What is written where nothing else is asked for."""

MARK: Final = ".fastcam-labels"
"""In a folder of a file a picture: it is of a run, and the next run may replace what is in it."""

_SUFFIXES: Final = {"yolo": ".txt", "voc": ".xml"}

FOLDERS: Final = tuple(FORMATS[name][0] for name in _SUFFIXES)
"""The folders of a file a picture."""


@dataclass(frozen=True)
class Run:
    """What a run has found.

    Attributes:
        pictures: what was localized.
        classes: the names of all classes.
        detections: the boxes.
        names: by the pictures' paths, those below the folder that they share.
    """

    pictures: Sequence[Picture]
    classes: Sequence[str]
    detections: Sequence[Detection]
    names: Mapping[str, PurePath]

    def image_boxes(self) -> list[ImageBoxes]:
        """Return the boxes of each picture, in its own pixels."""
        of_picture: dict[int, list[Detection]] = {one.id: [] for one in self.pictures}
        for found in self.detections:
            if not found.is_empty:
                of_picture[found.picture.id].append(found)
        return [_image_boxes(one, of_picture[one.id]) for one in self.pictures]

    @property
    def files(self) -> list[PurePath]:
        """Where each picture lies below the folder that all of them share."""
        return [self.names[one.file] for one in self.pictures]


def _image_boxes(picture: Picture, its: Sequence[Detection]) -> ImageBoxes:
    boxes = torch.tensor([found.box for found in its], dtype=torch.float64, device="cpu").reshape(-1, 4)
    labels = torch.tensor([found.class_id for found in its], dtype=torch.int64, device="cpu")
    scores = torch.tensor([found.score for found in its], dtype=torch.float64, device="cpu")
    names = tuple(found.class_name for found in its)
    return ImageBoxes(boxes, labels, scores, (picture.height, picture.width), names)


def write_run(folder: Path, run: Run, formats: Sequence[str], suffix: str = "") -> None:
    """Write what a run has found, in each of the formats: all files are replaced once all are written.

    Args:
        folder: where; it must exist.
        run: what was found.
        formats: of :data:`FORMATS`.
        suffix: of the files' names, before the last dot, and of the folders', such as ``.partial``.

    Raises:
        ImportError: pyarrow is not installed, and is needed.
        ValueError: two pictures whose label files would have the same name.
        OSError: one cannot be written; the message names it, and the former ones are there still.
    """
    contents: dict[Path, bytes] = {}
    for name in formats:
        for path, content in _CONTENTS[name](run).items():
            contents[folder / _with(path, suffix)] = content
    for parent in sorted({path.parent for path in contents}):
        parent.mkdir(parents=True, exist_ok=True)
    write_whole(contents)


def _with(path: Path, suffix: str) -> Path:
    """Put a suffix into the first name of a path, before its last dot."""
    first = Path(path.parts[0])
    return Path(f"{first.stem}{suffix}{first.suffix}", *path.parts[1:])


def _csv(run: Run) -> dict[Path, bytes]:
    return {Path("boxes.csv"): csv_bytes(run.detections)}


def _coco(run: Run) -> dict[Path, bytes]:
    return {Path(name): text for name, text in coco_bytes(run.pictures, run.classes, run.detections).items()}


def _parquet(run: Run) -> dict[Path, bytes]:
    """The columns of boxes.csv with their types; a box that was not found is null."""
    pyarrow, parquet = _pyarrow()
    rows = [found.columns for found in run.detections]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(CSV_COLUMNS)
    text, number = pyarrow.string(), pyarrow.float64()
    types = (text, pyarrow.int64(), text, *[number] * 6)
    arrays = [pyarrow.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(arrays, names=list(CSV_COLUMNS)), buffer)
    return {Path("boxes.parquet"): buffer.getvalue()}


def _yolo(run: Run) -> dict[Path, bytes]:
    return _in_folder("yolo", yolo_files(run.image_boxes(), run.files, run.classes))


def _voc(run: Run) -> dict[Path, bytes]:
    return _in_folder("voc", voc_files(run.image_boxes(), run.files))


def _in_folder(name: str, contents: Mapping[Path, bytes]) -> dict[Path, bytes]:
    (folder,) = FORMATS[name]
    mark = {Path(folder, MARK): b"The files beside this one are of fastcam localize, which replaces them.\n"}
    return mark | {Path(folder, path): content for path, content in contents.items()}


_CONTENTS: Final[dict[str, Callable[[Run], dict[Path, bytes]]]] = {
    "csv": _csv,
    "coco": _coco,
    "parquet": _parquet,
    "yolo": _yolo,
    "voc": _voc,
}


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError("the format parquet needs pyarrow: pip install pyarrow") from error
    return pyarrow, pyarrow.parquet


def check_formats(formats: Sequence[str], names: Sequence[PurePath]) -> None:
    """Refuse formats that pictures of these names cannot be written in, before any is localized.

    Raises:
        ImportError: a package is missing; the message names it.
        ValueError: a format that does not exist, or two pictures whose label files would have the same name.
    """
    unknown = next((name for name in formats if name not in FORMATS), None)
    if unknown is not None:
        raise ValueError(f"formats must be of {', '.join(map(repr, FORMATS))}, got {unknown!r}")
    if "parquet" in formats:
        _pyarrow()
    for name in (one for one in formats if one in _SUFFIXES):
        taken = {PurePath("classes.txt"): "the list of classes"} if name == "yolo" else {}
        paths_below(names, _SUFFIXES[name], taken)


def check_folder(out: Path, *, overlays: bool = True, formats: Sequence[str] = USUAL) -> None:
    """Refuse a folder for results where what is in it would be in the way, or be lost.

    Args:
        out: need not be there.
        overlays: whether they are to be written.
        formats: of the results.

    Raises:
        OSError: a folder stands where a file is to be written, or a file where a folder is to be, or such a folder
            holds what is not of an earlier run; the message names it.
    """
    for path in _paths(out, [name for name in formats if name not in _SUFFIXES]):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "a folder, where a file is to be written", str(path))
    if overlays:
        _check_replaced(out / OVERLAYS, "overlays", holds_results(out))
    for path in _paths(out, [name for name in formats if name in _SUFFIXES]):
        _check_replaced(path, "labels", (path / MARK).exists())


def _check_replaced(folder: Path, what: str, own: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"a file, where the folder of {what} is to be", str(folder))
    if not own and any(folder.iterdir()):
        raise FileExistsError(
            errno.EEXIST, f"not of an earlier run, and {what} would replace what is in it", str(folder)
        )


def is_beside(out: Path, formats: Sequence[str]) -> bool:
    """Whether there are results of an earlier run, in one of the formats."""
    return any(path.exists() for path in _paths(out, formats))


def first_file(out: Path, formats: Sequence[str], suffix: str = "") -> Path:
    """Return the first file, or the folder, of the first format."""
    return next(_paths(out, formats, suffix))


def remove(out: Path, suffix: str) -> None:
    """Remove the files whose names have a suffix, of any format, and the folders that hold a run's mark."""
    for path in _paths(out, tuple(FORMATS), suffix):
        if (path / MARK).exists():
            shutil.rmtree(path, ignore_errors=True)
        elif not path.is_dir():
            path.unlink(missing_ok=True)


def _paths(out: Path, formats: Sequence[str], suffix: str = "") -> Iterator[Path]:
    return (out / _with(Path(file), suffix) for name in formats for file in FORMATS[name])
