"""Text files of one record a line, read so that every error names the file, the line and the reason."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

__all__ = ["DataError", "Line", "checked_box", "outside", "read_lines", "read_table", "unsafe"]

# Boxes of the data sets end up to a pixel behind the picture's edge, by rounding and by counting from 1.
_SLACK = 1.0

_WHOLE = re.compile(r"[+-]?[0-9]+")


class DataError(ValueError):
    """A data set's file that is missing, or a line of it that cannot be used: ``file:line: reason``."""


@dataclass(frozen=True)
class Line:
    """One line of a text file.

    Attributes:
        place: what errors call it, ``file:number``.
        number: of the line, from 1.
        fields: what stands between the separators.
    """

    place: str
    number: int
    fields: tuple[str, ...]

    def error(self, reason: str) -> DataError:
        """Make the error that names this line."""
        return DataError(f"{self.place}: {reason}")

    def whole(self, index: int, name: str, *, least: int = 0) -> int:
        """Read a field as a whole number that is at least ``least``."""
        # int() takes digits of other scripts and underscores too.
        if not _WHOLE.fullmatch(self.fields[index]):
            raise self.error(f"{name} must be a whole number, got {self.fields[index]!r}")
        value = int(self.fields[index])
        if value < least:
            raise self.error(f"{name} must be at least {least}, got {value}")
        return value

    def below(self, index: int, name: str) -> str:
        """Read a field as a path that stays below the folder it is given for."""
        path = self.fields[index]
        reason = unsafe(path)
        if reason is not None:
            raise self.error(f"{name} must lie below its folder, got {path!r}, which {reason}")
        return path

    def numbers(self, start: int, names: tuple[str, ...]) -> list[float]:
        """Read as many finite numbers as there are names, from a field on."""
        values = []
        for name, text in zip(names, self.fields[start:], strict=True):
            try:
                value = float(text if text.isascii() and "_" not in text else "")
            except ValueError:
                raise self.error(f"{name} must be a number, got {text!r}") from None
            if not math.isfinite(value):
                raise self.error(f"{name} must be finite, got {text!r}")
            values.append(value)
        return values


def unsafe(path: str) -> str | None:
    """Say why a path out of a file does not stay below the folder it is given for; None where it does.

    Example:
        >>> unsafe("wren/1.jpg"), unsafe("../1.jpg"), unsafe("/etc/passwd")
        (None, "leads out of it by '..'", 'is absolute')
    """
    if not path or "\0" in path:
        return "is no path"
    # As any system reads it: a drive or a backslash leads away where data sets are read on Windows.
    for kind in (PurePosixPath(path), PureWindowsPath(path)):
        if kind.is_absolute() or kind.drive or kind.root:
            return "is absolute"
        if ".." in kind.parts:
            return "leads out of it by '..'"
    return None


def read_lines(
    path: str | os.PathLike[str], columns: tuple[str, ...], *, separator: str | None, right: bool = False
) -> Iterator[Line]:
    """Read a file line by line; empty lines are passed over.

    Args:
        path: the file, UTF-8.
        columns: what a line has to hold.
        separator: between the columns; None for blanks.
        right: split from the right, so that the first column may hold the separator; else the last one may.

    Yields:
        The lines.

    Raises:
        DataError: no such file, not UTF-8, or a line with too few columns.
    """
    name = os.fspath(path)
    most = len(columns) - 1
    try:
        with open(path, encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                stripped = text.strip()
                if not stripped:
                    continue
                fields = stripped.rsplit(separator, most) if right else stripped.split(separator, most)
                line = Line(f"{name}:{number}", number, tuple(field.strip() for field in fields))
                if len(fields) != len(columns):
                    raise line.error(f"expected {(separator or ' ').join(columns)}, got {stripped!r}")
                yield line
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not UTF-8 text: {error}") from error


def read_table(
    path: str | os.PathLike[str], columns: tuple[str, ...], *, separator: str | None, right: bool = False
) -> dict[str, Line]:
    """Read a file whose first column is an id that occurs once: lines by id.

    Raises:
        DataError: as :func:`read_lines`, or an id that occurs twice.
    """
    table: dict[str, Line] = {}
    for line in read_lines(path, columns, separator=separator, right=right):
        first = table.setdefault(line.fields[0], line)
        if first is not line:
            raise line.error(f"{columns[0]} {line.fields[0]!r} stands in line {first.number} already")
    return table


def checked_box(line: Line, box: list[float], size: tuple[int, int] | None) -> NDArray[np.float64]:
    """Check a box against the picture it lies in.

    Args:
        line: where it stands.
        box: x0, y0, x1, y1.
        size: (H, W) of the picture, where it is known.

    Returns:
        (4,) float64.

    Raises:
        DataError: corners the wrong way round, below 0, or more than a pixel outside the picture.
    """
    x0, y0, x1, y1 = box
    reason = None
    if x1 < x0 or y1 < y0:
        reason = "must have x0 <= x1 and y0 <= y1"
    elif min(x0, y0) < 0:
        reason = "lies outside its image: coordinates must be at least 0"
    elif size is not None and (x1 > size[1] + _SLACK or y1 > size[0] + _SLACK):
        reason = f"lies outside its image, which is {size[1]}x{size[0]} (width x height)"
    if reason is not None:
        raise line.error(f"box ({', '.join(f'{value:g}' for value in box)}) {reason}")
    return np.array(box)


def outside(boxes: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of many boxes :func:`checked_box` refuses, (M,) bool.

    Args:
        boxes: (M, 4), x0, y0, x1, y1.
        sizes: (M, 2), H and W of the picture of each.

    Example:
        >>> outside(np.array([[0.0, 0, 9, 9], [0, 0, 30, 9], [-1, 0, 9, 9]]), np.array([[10, 20]] * 3)).tolist()
        [False, True, True]
    """
    low, high = boxes[:, :2], boxes[:, 2:]
    # Written so that a NaN is refused.
    fine = (low >= 0) & (high >= low) & (high <= sizes[:, ::-1] + _SLACK)
    return np.asarray(~fine.all(axis=1))
