"""Boxes as YOLO's label files: a text file a picture, a line a box."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

from fastcam.conventions.image_boxes import (
    Files,
    ImageBoxes,
    Names,
    checked_files,
    checked_names,
    clipped_boxes,
    known_labels,
    known_size,
    paths_below,
)

__all__ = ["yolo_files"]

_CLASSES = Path("classes.txt")


def yolo_files(
    images: Sequence[ImageBoxes], files: Files | None, names: Names | None = None, *, scores: bool = False
) -> dict[Path, bytes]:
    r"""Say boxes as Ultralytics' label files: ``class cx cy w h``, fractions of the picture's width and height.

    The box covers x from ``W (cx - w / 2)`` to ``W (cx + w / 2)``, half-open.

    Args:
        images: the boxes.
        files: their pictures; a label file has its picture's path and name, with ``.txt``.
        names: the classes' names, for ``classes.txt``, a line a class from class 0 on.
        scores: append each box's score to its line, as in the files of predictions.

    Returns:
        The content of each file by its path; an empty one where nothing was found.

    Raises:
        TypeError: files or names of another type.
        ValueError: what is needed and not there, or two pictures whose label files have the same name.

    Example:
        >>> import torch
        >>> one = ImageBoxes(torch.tensor([[2.0, 0, 6, 5]]), torch.tensor([3]), size=(10, 8))
        >>> yolo_files([one], ["cat.png"])[Path("cat.txt")]
        b'3 0.5 0.25 0.5 0.5\n'
    """
    known = checked_names(names)
    taken: dict[PurePath, object] = {_CLASSES: "the list of classes"} if known else {}
    paths = paths_below(checked_files(files, len(images), "to_yolo"), ".txt", taken)
    contents = {path: _lines(one, size, scores) for path, (one, size) in zip(paths, _sized(images), strict=True)}
    if known:
        # A line counts its class, so one without a name is left empty.
        contents[_CLASSES] = _text([known.get(label, "").replace("\n", " ") for label in range(max(known) + 1)])
    return contents


def _sized(images: Sequence[ImageBoxes]) -> list[tuple[ImageBoxes, tuple[int, int]]]:
    return list(known_size(images, "to_yolo"))


def _lines(one: ImageBoxes, size: tuple[int, int], scores: bool) -> bytes:
    height, width = size
    labels = known_labels(one, "to_yolo")
    if scores and one.scores is None:
        raise ValueError("to_yolo needs scores with scores=True, got a result without")
    last = (
        [[float(score)] for score in one.scores.tolist()] if scores and one.scores is not None else [[]] * len(labels)
    )
    lines = []
    for label, (x0, y0, x1, y1), score in zip(labels, clipped_boxes(one, size).tolist(), last, strict=True):
        numbers = [(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height, *score]
        lines.append(" ".join([str(label), *(f"{number:.9g}" for number in numbers)]))
    return _text(lines)


def _text(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("utf-8", errors="backslashreplace")
