"""The boxes of one image, as every export starts from: :class:`ImageBoxes`, and the checks that exports share."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "ImageBoxes",
    "Names",
    "checked_files",
    "checked_names",
    "class_names",
    "clipped_boxes",
    "known_labels",
    "known_size",
    "paths_below",
]

Names = Mapping[int, str] | Sequence[str]
"""What the classes are called: by the label, or in the labels' order."""

Files = Sequence[str | os.PathLike[str]]
"""The picture of each image, as a path below the folder of the pictures."""


@dataclass(frozen=True)
class ImageBoxes:
    """The boxes of one image; what was not found is not among them.

    Attributes:
        boxes: (M, 4), x0, y0, x1, y1 in pixels, half-open: x1 and y1 are the first pixels outside.
        labels: (M,) integers; None where they are not known.
        scores: (M,); None where they are not known.
        size: (H, W) of the image in pixels; None where it is not known.
        names: what the class of each box is called, where that is known.
        maps: the map (H, W) that each box was found in; None where they were not asked for.
        thresholds: (M,), those of the maps.
        masks: gives the component of each box, (M, H, W) bool; None where masks were not asked for.
    """

    boxes: Tensor
    labels: Tensor | None = None
    scores: Tensor | None = None
    size: tuple[int, int] | None = None
    names: tuple[str, ...] | None = None
    maps: list[Tensor] | None = None
    thresholds: Tensor | None = None
    masks: Callable[[], Tensor] | None = None


def known_size(images: Sequence[ImageBoxes], export: str) -> Iterator[tuple[ImageBoxes, tuple[int, int]]]:
    """Yield each image with its size.

    Raises:
        ValueError: a size is not known.
    """
    for one in images:
        if one.size is None:
            raise ValueError(
                f"{export} needs the images' size, got a result without; set it with "
                "dataclasses.replace(found, size=(H, W))"
            )
        yield one, one.size


def known_labels(one: ImageBoxes, export: str) -> list[int]:
    """Return the labels of the boxes.

    Raises:
        ValueError: they are not known.
    """
    if one.labels is None:
        raise ValueError(f"{export} needs labels, got a Localization without; set them with dataclasses.replace")
    return [int(label) for label in one.labels.tolist()]


def clipped_boxes(one: ImageBoxes, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the boxes (M, 4) as float64 on the host, cut off where the image ends."""
    height, width = size
    boxes: NDArray[np.float64] = one.boxes.detach().cpu().numpy().astype(np.float64).reshape(-1, 4)
    return np.clip(boxes, 0, [width, height, width, height])


def checked_names(names: Names | None) -> dict[int, str]:
    """Return the name of each label.

    Raises:
        TypeError: no sequence or mapping of texts.

    Example:
        >>> checked_names(["cat", "dog"])
        {0: 'cat', 1: 'dog'}
    """
    if names is None:
        return {}
    pairs = names.items() if isinstance(names, Mapping) else enumerate([] if isinstance(names, str) else names)
    listed = {int(label): name for label, name in pairs}
    if isinstance(names, str) or not all(isinstance(name, str) for name in listed.values()):
        raise TypeError(f"names must be the classes' names by label or in their order, got {reprlib.repr(names)}")
    return listed


def class_names(one: ImageBoxes, names: Names | None, export: str) -> list[str]:
    """Return the name of each box's class.

    Raises:
        ValueError: no names, or none for a label.
    """
    if names is None and one.names is not None:
        return list(one.names)
    labels = known_labels(one, export)
    if names is None:
        raise ValueError(f"{export} needs the classes' names, got none: names=")
    known = checked_names(names)
    missing = next((label for label in labels if label not in known), None)
    if missing is not None:
        raise ValueError(f"names must have a name for each label, got none for label {missing}")
    return [known[label] for label in labels]


def checked_files(files: Files | None, count: int, export: str) -> list[PurePath]:
    """Return the images' pictures as relative paths.

    Raises:
        TypeError: no sequence of paths.
        ValueError: none, another number than the images', or a path that leaves the pictures' folder.
    """
    if files is None:
        raise ValueError(f"{export} needs the pictures' file names, got none: files=")
    if isinstance(files, (str, bytes, os.PathLike)):
        raise TypeError(f"files must be a sequence of paths, one an image, got {files!r}")
    paths = [PurePath(one) for one in files]
    if len(paths) != count:
        raise ValueError(f"files must have the length of the {count} images, got {len(paths)}")
    for path in paths:
        if path.is_absolute() or ".." in path.parts or not path.name:
            raise ValueError(
                f"files must lie below the pictures' folder, got {str(path)!r}; pass os.path.relpath(file, folder)"
            )
    return paths


def paths_below(files: Sequence[PurePath], suffix: str, taken: Mapping[PurePath, object] | None = None) -> list[Path]:
    """Return where each picture's own file goes: its path, with another suffix.

    Raises:
        ValueError: two of them would have the same file.

    Example:
        >>> [path.as_posix() for path in paths_below([PurePath("a/x.jpg"), PurePath("y.png")], ".txt")]
        ['a/x.txt', 'y.txt']
    """
    owners: dict[PurePath, object] = dict(taken or {})
    for file in files:
        path = Path(file.with_suffix(suffix))
        if path in owners:
            raise ValueError(f"{owners[path]} and {file} would both have the file {path.as_posix()}")
        owners[path] = file
    return [Path(file.with_suffix(suffix)) for file in files]
