"""Results as files: CSV, COCO and pictures, each written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fastcam.coco import coco_entry
from fastcam.files import replacing, write_whole
from fastcam.tables import read_table, table_bytes, write_table

__all__ = [
    "CSV_COLUMNS",
    "Detection",
    "Picture",
    "coco_bytes",
    "coco_dataset",
    "coco_results",
    "csv_bytes",
    "json_bytes",
    "read_table",
    "replacing",
    "table_bytes",
    "write_csv",
    "write_json",
    "write_picture",
    "write_table",
]

CSV_COLUMNS = ("file", "class_id", "class", "score", "x0", "y0", "x1", "y1", "ms")


@dataclass(frozen=True)
class Picture:
    """A picture that was localized.

    Attributes:
        id: its number in the COCO files, from 1.
        file: its path.
        width: in pixels.
        height: in pixels.
    """

    id: int
    file: str
    width: int
    height: int


@dataclass(frozen=True)
class Detection:
    """One box.

    Attributes:
        picture: where it is.
        class_id: the class's number.
        class_name: its name.
        score: softmax of the logits.
        box: x0, y0, x1, y1 in the picture's own pixels, half-open; 0, 0, 0, 0 where nothing was found.
        milliseconds: what the picture took.
    """

    picture: Picture
    class_id: int
    class_name: str
    score: float
    box: tuple[float, float, float, float]
    milliseconds: float

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found, so that there is no box."""
        return not any(self.box)

    @property
    def columns(self) -> tuple[object, ...]:
        """What :data:`CSV_COLUMNS` names, None for the corners of what was not found; text that is no UTF-8 escaped."""
        file, name = (
            text.encode("utf-8", errors="backslashreplace").decode() for text in (self.picture.file, self.class_name)
        )
        corners = [None] * 4 if self.is_empty else [float(value) for value in self.box]
        return (file, self.class_id, name, float(self.score), *corners, float(self.milliseconds))


def write_csv(path: str | os.PathLike[str], detections: Iterable[Detection]) -> None:
    """Write boxes as CSV (UTF-8, one header line): file,class_id,class,score,x0,y0,x1,y1,ms.

    Args:
        path: the file to write.
        detections: one line each; coordinates in original pixels with two decimals, left empty where nothing was
            found.

    Example:
        >>> import tempfile, pathlib
        >>> cat = Detection(Picture(1, "cat.png", 451, 300), 285, "Egyptian cat", 0.77, (46, 0, 397.5, 300), 9.5)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_csv(pathlib.Path(folder, "boxes.csv"), [cat])
        ...     print(pathlib.Path(folder, "boxes.csv").read_text().splitlines()[1])
        cat.png,285,Egyptian cat,0.770000,46.00,0.00,397.50,300.00,9.50
    """
    write_whole({path: csv_bytes(detections)})


def write_json(path: str | os.PathLike[str], content: Sequence[Any] | Mapping[str, Any]) -> None:
    """Write JSON (UTF-8), one entry of the outermost list or dictionary a line.

    Args:
        path: the file to write.
        content: lists, dictionaries, strings and finite numbers.

    Raises:
        ValueError: a number that JSON cannot say (NaN, infinity).
    """
    write_whole({path: json_bytes(content)})


def json_bytes(content: Sequence[Any] | Mapping[str, Any]) -> bytes:
    """Return the content of the file that :func:`write_json` writes."""
    if isinstance(content, Mapping):
        lines = [f"{_json(key)}: {_json(value)}" for key, value in content.items()]
        opening, closing = "{", "}"
    else:
        lines = [_json(entry) for entry in content]
        opening, closing = "[", "]"
    # A file name that is not UTF-8 reaches Python as lone surrogates; escaped, they are readable and valid JSON.
    return "\n".join([opening, ",\n".join(lines), closing, ""]).encode("utf-8", errors="backslashreplace")


def coco_bytes(
    pictures: Iterable[Picture], classes: Iterable[str], detections: Iterable[Detection]
) -> dict[str, bytes]:
    """Return the content of dataset.json and of boxes.json, by their names."""
    dataset, boxes = coco_dataset(pictures, classes), coco_results(detections)
    return {"dataset.json": json_bytes(dataset), "boxes.json": json_bytes(boxes)}


def csv_bytes(detections: Iterable[Detection]) -> bytes:
    """Return the content of the file that :func:`write_csv` writes."""
    return table_bytes(CSV_COLUMNS, map(_fields, detections))


def write_picture(path: str | os.PathLike[str], pixels: NDArray[Any]) -> None:
    """Write a picture, or a map, in the format that the suffix names.

    Args:
        path: the file to write.
        pixels: RGB (H, W, 3) or grey (H, W), such as a map; uint8, or floating point in [0, 1], which is scaled so
            that 1 is white.

    Raises:
        ImportError: OpenCV or Pillow is not installed.
        PictureError: another shape or dtype, or values outside [0, 1]; a ValueError.
        ValueError: a suffix that OpenCV has no format for.
        OSError: it cannot be written; the message names it.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> from fastcam.images import read_picture
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_picture(pathlib.Path(folder, "map.png"), np.array([[0.0, 0.2, 1.0]]))
        ...     read_picture(pathlib.Path(folder, "map.png"))[0, :, 0].tolist()
        [0, 51, 255]
    """
    try:
        import cv2
    except ImportError as error:
        raise ImportError('write_picture needs OpenCV: pip install "fastcam[cli]"') from error
    from fastcam.images import as_pixels

    suffix, pixels = Path(path).suffix, as_pixels(pixels)
    try:
        done, encoded = cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    except cv2.error as error:
        raise ValueError(f"path must end in a suffix that OpenCV can write, got {suffix!r}: {error}") from error
    if not done:
        raise ValueError(f"OpenCV could not encode a picture of shape {pixels.shape} as {suffix!r}")
    write_whole({path: encoded.tobytes()})


def coco_results(detections: Iterable[Detection]) -> list[dict[str, Any]]:
    """Say boxes as COCO results: image_id, category_id, bbox, score.

    ``bbox`` is x, y, width, height in pixels, with two decimals. Where nothing was found there is no box, and so no
    result: a detection metric would count it as a wrong one. A score that is not a number becomes None, JSON's null.

    Example:
        >>> coco_results([Detection(Picture(1, "cat.png", 451, 300), 285, "cat", 0.5, (46, 0, 397, 300), 9.5)])
        [{'image_id': 1, 'category_id': 285, 'bbox': [46.0, 0.0, 351.0, 300.0], 'score': 0.5}]
    """
    results = []
    for found in detections:
        if not found.is_empty:
            entry = coco_entry(found.picture.id, found.class_id, [float(value) for value in found.box], found.score)
            results.append({**entry, "bbox": [round(value, 2) for value in entry["bbox"]]})
    return results


def coco_dataset(pictures: Iterable[Picture], classes: Iterable[str]) -> dict[str, Any]:
    """Give the ids of COCO results their meaning: a dataset without annotations, as pycocotools loads it.

    Args:
        pictures: what ``image_id`` stands for.
        classes: what ``category_id`` stands for, counted from 0.

    Example:
        >>> coco_dataset([Picture(1, "cat.png", 451, 300)], ["cat"])["categories"]
        [{'id': 0, 'name': 'cat'}]
    """
    images = [{"id": one.id, "file_name": one.file, "width": one.width, "height": one.height} for one in pictures]
    categories = [{"id": number, "name": name} for number, name in enumerate(classes)]
    return {"info": {}, "licenses": [], "images": images, "categories": categories, "annotations": []}


def _fields(found: Detection) -> tuple[object, ...]:
    corners = ["" if found.is_empty else f"{value:.2f}" for value in found.box]
    names = (found.picture.file, found.class_id, found.class_name)
    return (*names, f"{found.score:.6f}", *corners, f"{found.milliseconds:.2f}")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
