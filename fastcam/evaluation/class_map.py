"""Which classes of a network mean those of a data set, where they are not the same."""

from __future__ import annotations

import os
from collections.abc import Sequence

from fastcam.data import DataError
from fastcam.data.lines import read_table

__all__ = ["read_class_map"]


def read_class_map(path: str | os.PathLike[str], names: Sequence[str], known: int) -> dict[int, tuple[int, ...]]:
    r"""Read lines of a class of the data, by its name or number, and after a comma the network's class numbers.

    Args:
        path: the file, UTF-8, such as ``001.Auk,12,13``.
        names: of the data's classes, by label.
        known: how many classes the network has.

    Returns:
        For each label the network's classes.

    Raises:
        DataError: a line that cannot be read or names a class that does not exist, or a class without a line.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "same.txt")
        ...     _ = path.write_text("cat,281,282\n1,817\n")
        ...     read_class_map(path, ["cat", "car"], 1000)
        {0: (281, 282), 1: (817,)}
    """
    lines = read_table(path, ("class", "numbers"), separator=",")
    labels = {**{str(label): label for label in range(len(names))}, **{name: label for label, name in enumerate(names)}}
    found: dict[int, tuple[int, ...]] = {}
    for name, line in lines.items():
        if name not in labels:
            raise line.error(f"{name!r} is no class of the data: neither a name nor a number below {len(names)}")
        parts = [part.strip() for part in line.fields[1].split(",")]
        if not all(part.isascii() and part.isdigit() for part in parts):
            raise line.error(f"expected the network's class numbers, got {line.fields[1]!r}")
        numbers = tuple(map(int, parts))
        if not all(0 <= number < known for number in numbers):
            raise line.error(f"class numbers must lie in [0, {known}), got {line.fields[1]}")
        found[labels[name]] = numbers
    missing = [name for label, name in enumerate(names) if label not in found]
    if missing:
        raise DataError(
            f"{os.fspath(path)}: no line for {', '.join(missing[:5])}{' and others' if len(missing) > 5 else ''}"
        )
    return found
