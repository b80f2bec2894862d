"""Tiny-ImageNet as it is distributed: 64x64 pictures of 200 classes of ImageNet, every one with a box."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from fastcam.data.lines import DataError, Line, checked_box, read_table
from fastcam.data.record import NO_BOXES, OnBad, Record, Split, raising
from fastcam.images import PictureError, picture_size

__all__ = ["is_tiny_imagenet", "read_tiny_imagenet"]

_CORNERS = ("x0", "y0", "x1", "y1")
_SPLITS = ("train", "val")


def is_tiny_imagenet(root: str | os.PathLike[str]) -> bool:
    """Whether a folder is laid out as Tiny-ImageNet is."""
    return all(Path(root, name).exists() for name in ("wnids.txt", "train", "val/val_annotations.txt"))


def read_tiny_imagenet(
    root: str | os.PathLike[str], split: str = "val", *, boxes: bool = True, on_bad: OnBad = raising
) -> Split:
    """Read Tiny-ImageNet (Stanford CS231n), or fewer classes or pictures of it in its layout.

    The files are ``wnids.txt`` (the classes' WordNet ids), ``train/<wnid>/<wnid>_boxes.txt`` (name x0 y0 x1 y1) beside
    ``train/<wnid>/images/``, and ``val/val_annotations.txt`` (name wnid x0 y0 x1 y1) beside ``val/images/``. Classes
    are numbered as ``wnids.txt`` lists them, from 0. A box's last corner is the last pixel inside. The pictures in
    ``test/`` have neither classes nor boxes and are not read.

    Args:
        root: the folder.
        split: ``"train"`` or ``"val"``.
        boxes: with the boxes; without, the files' lines are still what says which pictures there are.
        on_bad: called for each picture that cannot be read, which is then left out. Only the header is read here.

    Returns:
        The :class:`Split`: ``train`` class by class in the order of ``wnids.txt``, each in the order of its file.
        Ids are paths below the folder, such as ``val/images/val_0.JPEG``.

    Raises:
        DataError: a missing file, a malformed line, a class or a picture that is named twice, a class of
            ``val_annotations.txt`` that ``wnids.txt`` lacks, a class without training pictures, a box outside its
            picture; with file and line.
        PictureError: a picture that cannot be read, without ``on_bad``.
        ValueError: another split.

    Example:
        >>> import pathlib, tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (root := pathlib.Path(folder, "val")).joinpath("images").mkdir(parents=True)
        ...     Image.new("RGB", (64, 64)).save(root / "images" / "val_0.JPEG")
        ...     _ = (root / "val_annotations.txt").write_text("val_0.JPEG n01443537 0 32 44 63")
        ...     _ = pathlib.Path(folder, "wnids.txt").write_text("n01443537")
        ...     (record,) = read_tiny_imagenet(folder, "val")
        >>> record.id, record.label, record.boxes.tolist()
        ('val/images/val_0.JPEG', 0, [[0.0, 32.0, 44.0, 63.0]])
    """
    if split not in _SPLITS:
        raise ValueError(f"split of Tiny-ImageNet must be 'train' or 'val', got {split!r}")
    folder = Path(root)
    classes = tuple(read_table(folder / "wnids.txt", ("wnid",), separator=None))
    labels = {wnid: label for label, wnid in enumerate(classes)}
    if not classes:
        raise DataError(f"{folder / 'wnids.txt'}: no classes")
    records = []
    for line, wnid, directory in _lines(folder, split, classes):
        if wnid not in labels:
            raise line.error(f"class {wnid!r} is not in wnids.txt")
        name = directory / "images" / line.below(0, "name")
        path = folder / name
        try:
            size = picture_size(path)
        except PictureError as error:
            on_bad(error)
            continue
        corners = line.numbers(len(line.fields) - 4, _CORNERS)
        box = checked_box(line, corners, size)[None] if boxes else NO_BOXES
        records.append(Record(name.as_posix(), path, labels[wnid], box, size))
    return Split("Tiny-ImageNet", split, tuple(records), classes, "inclusive", folder.resolve().name)


def _lines(folder: Path, split: str, classes: tuple[str, ...]) -> Iterator[tuple[Line, str, Path]]:
    """The lines of a split's files, each with its class and the directory that ``images/`` is in."""
    if split == "val":
        table = read_table(folder / "val" / "val_annotations.txt", ("name", "wnid", *_CORNERS), separator=None)
        for line in table.values():
            yield line, line.fields[1], Path("val")
        return
    for wnid in classes:
        path = folder / "train" / wnid / f"{wnid}_boxes.txt"
        table = read_table(path, ("name", *_CORNERS), separator=None)
        if not table:
            raise DataError(f"{path}: class {wnid} has no training pictures")
        for line in table.values():
            yield line, wnid, Path("train", wnid)
