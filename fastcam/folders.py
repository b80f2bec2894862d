"""Which pictures files, folders and globs stand for: :func:`find_pictures`."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["SUFFIXES", "find_pictures"]

SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".bmp",
        ".tif",
        ".tiff",
        ".gif",
        ".ppm",
        ".pgm",
        ".pnm",
        ".jp2",
        ".avif",
    }
)
"""What counts as a picture in a folder or a glob. A file named outright is read whatever it is called."""


def find_pictures(
    paths: Iterable[str | os.PathLike[str]], *, exclude: str | os.PathLike[str] | None = None
) -> list[Path]:
    """List the pictures that files, folders and globs stand for, each once, in the order given.

    A folder stands for the pictures in it and below it, sorted, hidden ones left out; a glob (``**`` included) for the
    pictures and folders it matches. A path that exists is never taken for a glob, so ``photo[1].png`` is that file.

    Args:
        paths: files, folders, globs.
        exclude: a folder whose pictures do not count unless they are named outright: where the results go.

    Returns:
        The paths, spelled as they were given.

    Raises:
        FileNotFoundError: a path that matches nothing, or a folder without a picture.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("b.png", "a.jpg", "notes.txt"):
        ...         pathlib.Path(folder, name).touch()
        ...     [path.name for path in find_pictures([folder])]
        ['a.jpg', 'b.png']
    """
    banned = None if exclude is None else Path(os.path.abspath(exclude))
    found: dict[str, Path] = {}
    for given in paths:
        path = os.fspath(given)
        matches = list(_expand(path, banned))
        if not matches:
            kind = "a folder without pictures" if os.path.isdir(path) else "no file, folder or glob that matches"
            raise FileNotFoundError(f"{path!r} is {kind} (looked for {' '.join(sorted(SUFFIXES))})")
        for match in matches:
            found.setdefault(os.path.abspath(match), match)
    return list(found.values())


def _expand(path: str, banned: Path | None) -> Iterator[Path]:
    if os.path.isdir(path):
        yield from _walk(path, banned)
    elif os.path.exists(path):
        yield Path(path)
    else:
        for match in sorted(glob.glob(path, recursive=True)):
            if os.path.isdir(match):
                yield from _walk(match, banned)
            elif _wanted(match, banned):
                yield Path(match)


def _walk(folder: str, banned: Path | None) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and _wanted(os.path.join(parent, name), banned):
                yield Path(parent, name)


def _wanted(path: str, banned: Path | None) -> bool:
    if os.path.splitext(path)[1].lower() not in SUFFIXES:
        return False
    return banned is None or banned not in Path(os.path.abspath(path)).parents
