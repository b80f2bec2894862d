"""ImageNet-1K as it is unpacked: folders of pictures, and an XML file of boxes for each validation picture."""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from fastcam.data.lines import DataError, Line, checked_box
from fastcam.data.record import NO_BOXES, OnBad, Record, Split, raising
from fastcam.folders import SUFFIXES
from fastcam.images import PictureError, picture_size

__all__ = ["is_imagenet", "read_imagenet"]

_WNID = re.compile(r"n[0-9]{8}")
_MOST_XML = 1 << 20
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def is_imagenet(root: str | os.PathLike[str]) -> bool:
    """Whether a folder is laid out as ImageNet is."""
    folder = Path(root)
    return any((folder / part / name).is_dir() for part in ("", "Data/CLS-LOC") for name in ("train", "val"))


def read_imagenet(
    root: str | os.PathLike[str],
    split: str = "val",
    *,
    boxes: str | os.PathLike[str] | None = None,
    on_bad: OnBad = raising,
) -> Split:
    """Read ImageNet-1K (ILSVRC 2012), or fewer classes of it in its layout.

    Pictures lie in ``root/split`` or ``root/Data/CLS-LOC/split``: in a folder for each class, called by its WordNet
    id or, in data of one's own, by any name; or, as the validation pictures come, without. Boxes lie in XML files
    called like the pictures, in one folder or in one a class. A picture whose folder has no WordNet id has the class
    of its boxes where there are any, else its folder's. Classes are numbered in the order of their names, over the
    class folders of ``train`` where there are any. All boxes of a picture count.

    Args:
        root: the folder.
        split: ``"train"`` or ``"val"``.
        boxes: folder of the XML files; by default ``root/Annotations/CLS-LOC/split``. Without it (training pictures)
            there are no boxes.
        on_bad: called for each picture that cannot be read, which is then left out. Only the header is read here, and
            only of pictures with boxes.

    Returns:
        The :class:`Split`, sorted by path. Ids are paths below the folder that ``split`` is in, ``val/x.JPEG``, as
        wsolevaluation's score maps are called.

    Raises:
        DataError: no such folder, a picture without class, XML that is missing or malformed, a box outside its
            picture, sizes that differ; with file, and line where there is one.
        PictureError: a picture that cannot be read, without ``on_bad``.

    Example:
        >>> import pathlib, tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pathlib.Path(folder, "train", "n01440764").mkdir(parents=True)
        ...     Image.new("RGB", (64, 48)).save(pathlib.Path(folder, "train", "n01440764", "a.jpg"))
        ...     split = read_imagenet(folder, "train")
        >>> split.classes, split[0].id
        (('n01440764',), 'train/n01440764/a.jpg')
    """
    home = next((path for path in (Path(root), Path(root, "Data", "CLS-LOC")) if (path / split).is_dir()), None)
    if home is None:
        raise DataError(f"{os.fspath(root)}: neither {split}/ nor Data/CLS-LOC/{split}/ is in it")
    annotations = Path(boxes) if boxes is not None else Path(root, "Annotations", "CLS-LOC", split)
    if boxes is not None and not annotations.is_dir():
        raise DataError(f"{annotations}: no such folder of boxes")
    pictures = [path for path in sorted((home / split).rglob("*")) if path.suffix.lower() in SUFFIXES]
    if not pictures:
        raise DataError(f"{home / split}: no pictures")
    files = {path.stem: path for path in annotations.rglob("*.xml")} if annotations.is_dir() else {}
    found = []
    for path in pictures:
        inside = path.relative_to(home / split).parts
        try:
            found.append(_picture(path, inside[:-1], files, needed=bool(files) and split != "train"))
        except PictureError as error:
            on_bad(error)
    named = {name for _, name, _, _ in found}
    ids_alone = all(map(_WNID.fullmatch, named))
    trained = {path.name for path in (home / "train").glob("*") if path.is_dir()}
    classes = sorted(named | {name for name in trained if _WNID.fullmatch(name) or not ids_alone})
    labels = {wnid: label for label, wnid in enumerate(classes)}
    records = tuple(
        Record(path.relative_to(home).as_posix(), path, labels[wnid], table, size) for path, wnid, table, size in found
    )
    return Split("ILSVRC", split, records, tuple(classes), folder=Path(root).resolve().name)


_Found = tuple[Path, str, NDArray[np.float64], tuple[int, int] | None]


def _picture(path: Path, folders: tuple[str, ...], files: dict[str, Path], *, needed: bool) -> _Found:
    """The class, boxes and size of a picture, which lies in these folders below its split."""
    folder = folders[-1] if folders and _WNID.fullmatch(folders[-1]) else None
    xml = files.get(path.stem)
    if xml is None:
        if needed:
            raise DataError(f"{path}: no {path.stem}.xml among the boxes")
        if not folders:
            raise DataError(f"{path}: its class is not known: it is in no class folder and has no boxes")
        return path, folder or folders[0], NO_BOXES, None
    size = picture_size(path)
    names, boxes = _annotation(xml, size, folders)
    wnid = folder or names[0]
    if any(name != wnid for name in names):
        raise DataError(f"{xml}: objects of {', '.join(sorted(set(names)))} in a picture of class {wnid}")
    return path, wnid, boxes, size


def _xml(path: Path) -> ElementTree.Element:
    try:
        # Of an annotation: what is larger is none, and is not read.
        with open(path, "rb") as file:
            text = file.read(_MOST_XML + 1)
        if len(text) > _MOST_XML:
            raise DataError(f"{path}: has more than the {_MOST_XML} bytes that an annotation may have")
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise DataError(f"{path}:{error.position[0]}: not XML: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    # Of an encoding that Python does not know, or that XML may not be in.
    except (LookupError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not XML: {error}") from error


def _annotation(path: Path, size: tuple[int, int], known: tuple[str, ...]) -> tuple[list[str], NDArray[np.float64]]:
    root = _xml(path)
    width, height = root.findtext("size/width"), root.findtext("size/height")
    if (width, height) != (None, None) and (width, height) != (str(size[1]), str(size[0])):
        raise DataError(f"{path}: size {width}x{height}, but the picture is {size[1]}x{size[0]} (width x height)")
    names, boxes = [], []
    for number, item in enumerate(root.iter("object"), 1):
        corners = [item.findtext(f"bndbox/{corner}") for corner in _CORNERS]
        # A picture's XML has no lines worth naming: objects are counted instead.
        line = Line(f"{path}: object {number}", number, tuple(corner or "" for corner in corners))
        names.append(item.findtext("name") or "")
        if not _WNID.fullmatch(names[-1]) and names[-1] not in known:
            raise line.error(f"name must be a WordNet id such as n01440764, got {names[-1]!r}")
        boxes.append(checked_box(line, line.numbers(0, _CORNERS), size))
    if not boxes:
        raise DataError(f"{path}: no object")
    return names, np.stack(boxes)
