"""The overlays of a run: what each is called, and how it is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcam.draw import overlay
from fastcam.result_files import Detection, write_picture

__all__ = ["overlay_names", "short_names", "write_overlay"]

_LONGEST_NAME = 255  # bytes, in nearly every file system
# Photographs stay in their own format, up to its longest side; every other picture becomes a PNG.
_LONGEST = {".jpg": 65_535, ".jpeg": 65_535, ".png": 2**31 - 1, ".webp": 16_383}


def write_overlay(
    path: Path, pixels: NDArray[np.uint8], heat: NDArray[Any] | None, detections: Sequence[Detection]
) -> None:
    """Write a picture of heat map and boxes, as a PNG where its own format does not hold so large a one.

    Args:
        path: the file; its folder is made.
        pixels: (H, W, 3) RGB.
        heat: (H, W), the map over the picture.
        detections: its boxes.

    Raises:
        OSError: it cannot be written; the message names it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if max(pixels.shape) > _LONGEST[path.suffix.lower()]:
        path = path.with_name(_with_suffix(path.name, ".png"))
    captions = [f"{found.class_name} {found.score:.2f}" for found in detections]
    write_picture(path, overlay(pixels, heat, [found.box for found in detections], captions))


def short_names(pictures: Sequence[Path]) -> dict[str, Path]:
    """Give each picture its path below the folder that all of them share.

    Example:
        >>> {path: short.as_posix() for path, short in short_names([Path("in/a/x.png"), Path("in/b/x.png")]).items()}
        {'in/a/x.png': 'a/x.png', 'in/b/x.png': 'b/x.png'}
    """
    full = [os.path.abspath(picture) for picture in pictures]
    # On Windows two drives share no folder; then the drive is dropped.
    drives = {os.path.splitdrive(path)[0] for path in full}
    root = os.path.commonpath([os.path.dirname(path) for path in full]) if len(drives) == 1 else ""
    return {
        str(picture): Path(os.path.relpath(path, root) if root else os.path.splitdrive(path)[1].lstrip(os.sep))
        for picture, path in zip(pictures, full, strict=True)
    }


def overlay_names(names: dict[str, Path]) -> dict[str, Path]:
    """Give each overlay a name of its own, in a format that can be written.

    Args:
        names: short names by path.

    Returns:
        Names by path: the short name, ``.png`` appended where its format cannot be written, and a number where that
        is taken; cut short where it would be longer than a file system allows.

    Example:
        >>> overlay_names({"a.gif": Path("a.gif"), "a.gif.png": Path("a.gif.png")})["a.gif.png"].as_posix()
        'a.gif-2.png'
    """
    # A folder of pictures may be called as an overlay would be.
    taken = {str(parent) for name in names.values() for parent in name.parents}
    chosen = {}
    for path, name in names.items():
        suffix = name.suffix if name.suffix.lower() in _LONGEST else ".png"
        stem = name.stem if suffix == name.suffix else name.name
        candidate, number = name.with_name(_with_suffix(stem, suffix)), 1
        while str(candidate) in taken:
            number += 1
            candidate = name.with_name(_with_suffix(stem, f"-{number}{suffix}"))
        taken.add(str(candidate))
        chosen[path] = candidate
    return chosen


def _with_suffix(name: str, suffix: str) -> str:
    """Append to a file's name, which is cut short where the whole would be longer than file systems allow."""
    room = _LONGEST_NAME - len(os.fsencode(suffix))
    if len(os.fsencode(name)) > room:
        name = os.fsencode(name)[:room].decode("utf-8", errors="ignore")
    return name + suffix
