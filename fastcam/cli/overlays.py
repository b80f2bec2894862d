"""Where each picture's overlay goes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["short_names", "unique_names"]

# Photographs stay in their own format; every other picture becomes a PNG.
_KEPT = (".jpg", ".jpeg", ".png", ".webp")


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


def unique_names(names: dict[str, Path]) -> dict[str, Path]:
    """Give each overlay a name of its own, in a format that can be written.

    Args:
        names: short names by path.

    Returns:
        Names by path: the short name, ``.png`` appended where its format cannot be written, and a number where that
        is taken.

    Example:
        >>> unique_names({"a.gif": Path("a.gif"), "a.gif.png": Path("a.gif.png")})["a.gif.png"].as_posix()
        'a.gif-2.png'
    """
    taken: set[str] = set()
    chosen = {}
    for path, name in names.items():
        wanted = name if name.suffix.lower() in _KEPT else name.with_name(f"{name.name}.png")
        candidate, number = wanted, 1
        while str(candidate) in taken:
            number += 1
            candidate = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
        taken.add(str(candidate))
        chosen[path] = candidate
    return chosen
