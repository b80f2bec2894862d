"""Boxes as Pascal VOC's annotations: an XML file a picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePath
from xml.etree import ElementTree

import numpy as np

from fastcam.conventions.image_boxes import (
    Files,
    ImageBoxes,
    Names,
    checked_files,
    class_names,
    clipped_boxes,
    known_size,
    paths_below,
)

__all__ = ["voc_files"]

# What XML 1.0 cannot hold, lone surrogates among it, which stand for file names that are no UTF-8.
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def voc_files(
    images: Sequence[ImageBoxes], files: Files | None, names: Names | None = None, *, folder: str | None = None
) -> dict[Path, bytes]:
    """Say boxes as the annotations of the Pascal VOC development kit (Everingham et al. 2010).

    Pixels are counted from 1 and the last one is inside: the half-open box x0, x1 is ``xmin = x0 + 1``, ``xmax = x1``.
    A box between pixels is rounded to whole ones, at least one.

    Args:
        images: the boxes.
        files: their pictures; an annotation has its picture's path and name, with ``.xml``.
        names: the classes' names.
        folder: what ``folder`` says; the name of the picture's folder by default.

    Returns:
        The content of each file by its path; one without an object where nothing was found.

    Raises:
        TypeError: files or names of another type.
        ValueError: what is needed and not there, or two pictures whose annotations have the same name.

    Example:
        >>> import torch
        >>> one = ImageBoxes(torch.tensor([[2.0, 0, 6, 5]]), torch.tensor([0]), size=(10, 8))
        >>> text = voc_files([one], ["cat.png"], ["cat"])[Path("cat.xml")].decode()
        >>> [line.strip() for line in text.splitlines() if "min>" in line or "max>" in line]
        ['<xmin>3</xmin>', '<ymin>1</ymin>', '<xmax>6</xmax>', '<ymax>5</ymax>']
    """
    pictures = checked_files(files, len(images), "to_voc")
    paths = paths_below(pictures, ".xml")
    sized = known_size(images, "to_voc")
    return {
        path: _annotation(one, size, picture, class_names(one, names, "to_voc"), folder)
        for path, picture, (one, size) in zip(paths, pictures, sized, strict=True)
    }


def _annotation(
    one: ImageBoxes, size: tuple[int, int], picture: PurePath, names: Sequence[str], folder: str | None
) -> bytes:
    height, width = size
    root = ElementTree.Element("annotation")
    _add(root, "folder", picture.parent.name if folder is None else folder)
    _add(root, "filename", picture.name)
    _add(ElementTree.SubElement(root, "source"), "database", "Unknown")
    extent = ElementTree.SubElement(root, "size")
    for name, value in (("width", width), ("height", height), ("depth", 3)):
        _add(extent, name, value)
    _add(root, "segmented", 0)
    corners = np.floor(clipped_boxes(one, size) + 0.5).astype(int)
    first = np.minimum(corners[:, :2], [width - 1, height - 1])
    last = np.maximum(corners[:, 2:], first + 1)
    for name, (x0, y0), (x1, y1) in zip(names, first.tolist(), last.tolist(), strict=True):
        found = ElementTree.SubElement(root, "object")
        for key, said in (("name", name), ("pose", "Unspecified"), ("truncated", 0), ("difficult", 0)):
            _add(found, key, said)
        box = ElementTree.SubElement(found, "bndbox")
        for key, corner in (("xmin", x0 + 1), ("ymin", y0 + 1), ("xmax", x1), ("ymax", y1)):
            _add(box, key, corner)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8")
    return text + b"\n"


def _add(parent: ElementTree.Element, name: str, value: str | int) -> None:
    text = _NOT_IN_XML.sub(lambda odd: odd.group().encode("unicode_escape").decode(), str(value))
    ElementTree.SubElement(parent, name).text = text
