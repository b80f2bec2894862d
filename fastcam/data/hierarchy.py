"""Which class belongs to which group, and that to which larger one: :func:`read_hierarchy`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastcam.data.lines import DataError, Line, read_lines

__all__ = ["Hierarchy", "read_hierarchy"]

_COLUMNS = ("class", "parent", "grandparent")


@dataclass(frozen=True)
class Hierarchy:
    """The parents of the classes of a data set, and where the file has them the parents of those.

    Attributes:
        names: for each level, from the parents up, the names of its groups, sorted.
        labels: (levels, K) int64: for each level and class the number of its group.
    """

    names: tuple[tuple[str, ...], ...]
    labels: NDArray[np.int64]


def read_hierarchy(path: str | os.PathLike[str], classes: Sequence[str]) -> Hierarchy:
    r"""Read a file of lines ``class parent`` or ``class parent grandparent``, such as species, family and order.

    Names are those of the data set: WordNet ids for ImageNet, ``001.Black_footed_Albatross`` for CUB-200-2011. They are
    separated by commas where the first line has one, else by blanks. Classes that the data set lacks are passed over.

    Args:
        path: the file, UTF-8.
        classes: the names of the data set's classes, by label.

    Raises:
        DataError: no such file; a line with too few or too many names, or with others than the first; a class that
            stands twice; a parent with two parents of its own, with file and line; a class that the file lacks.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "birds.txt")
        ...     _ = path.write_text("wren songbirds\ngull waders\nthrush songbirds")
        ...     found = read_hierarchy(path, ["thrush", "gull", "wren"])
        >>> found.names, found.labels.tolist()
        ((('songbirds', 'waders'),), [[0, 1, 0]])
    """
    table = _table(path)
    missing = [name for name in classes if name not in table]
    if missing:
        more = f" and {len(missing) - 1} more" * (len(missing) > 1)
        raise DataError(f"{os.fspath(path)}: class {missing[0]!r}{more} of the data set is missing")
    # The groups of every class, one tuple a level.
    levels = list(zip(*(table[name] for name in classes), strict=True))
    names = tuple(tuple(sorted(set(level))) for level in levels)
    numbers = [{name: number for number, name in enumerate(level)} for level in names]
    labels = [[known[group] for group in level] for known, level in zip(numbers, levels, strict=True)]
    return Hierarchy(names, np.array(labels, dtype=np.int64))


def _table(path: str | os.PathLike[str]) -> dict[str, tuple[str, ...]]:
    """Return what stands above each class, from the nearest on."""
    table: dict[str, tuple[str, ...]] = {}
    lines: dict[str, Line] = {}
    above: dict[str, tuple[str, Line]] = {}
    first: tuple[str | None, int] | None = None
    for line in read_lines(path, ("line",), separator="\n"):
        separator = first[0] if first else ("," if "," in line.fields[0] else None)
        fields = tuple(part.strip() for part in line.fields[0].split(separator))
        if first is None:
            first = separator, len(fields)
        if len(fields) not in (2, 3) or not all(fields):
            raise line.error(
                f"expected {(separator or ' ').join(_COLUMNS)}, the last as may be, got {line.fields[0]!r}"
            )
        if len(fields) != first[1]:
            raise line.error(f"expected {first[1]} names as in the first line, got {len(fields)}")
        name, *groups = fields
        if name in table:
            raise line.error(f"class {name!r} stands in line {lines[name].number} already")
        table[name], lines[name] = tuple(groups), line
        if len(groups) > 1:
            grandparent, where = above.setdefault(groups[0], (groups[1], line))
            if grandparent != groups[1]:
                raise line.error(
                    f"parent {groups[0]!r} is of {groups[1]!r} here, of {grandparent!r} in line {where.number}"
                )
    if not table:
        raise DataError(f"{os.fspath(path)}: no classes")
    return table
