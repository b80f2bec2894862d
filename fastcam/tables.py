r"""CSV files of names and numbers, harmless to spreadsheets and read back as they were.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a formula, and runs it when the file is
opened; names of files and classes may begin so (OWASP: CSV injection). Text that begins with one of these, a tab, a
line end or an apostrophe is therefore written with an apostrophe before it, which spreadsheets do not take for a
formula; numbers are written as they are. :func:`read_table` takes the apostrophe away.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Sequence

from fastcam.files import write_whole

__all__ = ["read_table", "table_bytes", "write_table"]

# The wide forms too, which some spreadsheets take for the narrow ones.
_FORMULA = re.compile("['=+\\-@\\t\\r\\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?|inf|nan)")


def write_table(path: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    r"""Write CSV (UTF-8, one header line, lines that end in a line feed), whole or not at all.

    What has a carriage return or a line feed in it, as names of files may, is quoted, and what a spreadsheet would take
    for a formula begins with an apostrophe; :func:`read_table` reads both back as they were.

    Args:
        path: the file. Its folder must exist.
        columns: the header.
        rows: the lines; None is left empty.

    Raises:
        OSError: it cannot be written; the message names it.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_table(pathlib.Path(folder, "a.csv"), ["file", "n"], [["a\rb.png", 1], ["=c.png", -0.5]])
        ...     pathlib.Path(folder, "a.csv").read_bytes()
        b'file,n\n"a\rb.png",1\n\'=c.png,-0.5\n'
    """
    write_whole({path: table_bytes(columns, rows)})


def table_bytes(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> bytes:
    """Return the content of the file that :func:`write_table` writes."""
    lines = []
    for row in (columns, *rows):
        line = io.StringIO()
        # The writer quotes what holds a sign of its own line end.
        csv.writer(line, lineterminator="\r\n").writerow(map(_harmless, row))
        lines.append(line.getvalue().removesuffix("\r\n"))
    # A file name that is not UTF-8 reaches Python as lone surrogates, which are escaped.
    return "\n".join([*lines, ""]).encode("utf-8", errors="backslashreplace")


def read_table(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """Read what :func:`write_table` wrote: boxes.csv, the rows of an evaluation, the history of a training.

    Args:
        path: the file.

    Returns:
        The rows as texts by column, names as they were before they were made harmless.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not UTF-8, or a row is not as long as the header.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_table(pathlib.Path(folder, "a.csv"), ["file", "n"], [["=c.png", -0.5]])
        ...     read_table(pathlib.Path(folder, "a.csv"))
        [{'file': '=c.png', 'n': '-0.5'}]
    """
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        columns = next(rows, [])
        return [dict(zip(columns, (text.removeprefix("'") for text in row), strict=True)) for row in rows]


def _harmless(value: object) -> object:
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
