"""Names of classes, from text files."""

from __future__ import annotations

import os
from functools import cache
from importlib import resources

__all__ = ["imagenet_classes", "read_classes"]


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Return the 1000 class names of ImageNet-1k, in the order of a classifier's outputs.

    Example:
        >>> imagenet_classes()[285]
        'Egyptian cat'
    """
    with resources.as_file(resources.files("fastcam.models") / "imagenet_classes.txt") as path:
        return read_classes(path)


def read_classes(path: str | os.PathLike[str]) -> tuple[str, ...]:
    r"""Read class names from a UTF-8 text file, one a line; lines at its top that begin with ``#`` are a comment.

    Args:
        path: the file.

    Returns:
        The names, without surrounding blanks.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not UTF-8, has no names, or an empty line between them.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "birds.txt")
        ...     _ = path.write_text("# two birds\nwren\nrobin\n")
        ...     read_classes(path)
        ('wren', 'robin')
    """
    with open(path, encoding="utf-8-sig") as file:
        lines = [line.strip() for line in file.read().rstrip().splitlines()]
    start = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    names = tuple(lines[start:])
    if not names:
        raise ValueError(f"{os.fspath(path)} has no class names; expected one a line")
    if "" in names:
        raise ValueError(f"{os.fspath(path)}: line {start + names.index('') + 1} is empty; expected a class name")
    return names
