"""What the command says: lines that any terminal can show, and the table of boxes."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from tqdm import tqdm

from fastcam.result_files import Detection

__all__ = ["drop_output", "say", "table", "visible"]

_HEADER = ("file", "class", "score", "box (x0 y0 x1 y1)", "ms")


def say(text: str, *, error: bool = False) -> None:
    """Print to stdout, or a message of one line to stderr, above a progress bar that may be there.

    What a terminal would obey is made visible (:func:`visible`), and characters that the stream's encoding lacks are
    escaped. Of a message that cannot be written nothing is said.

    Args:
        text: to stdout it may have several lines.
        error: to stderr.

    Raises:
        click.ClickException: stdout is full or closed.
    """
    stream = sys.stderr if error else sys.stdout
    try:
        if stream is None or stream.closed:
            raise OSError(errno.EBADF, "it is closed")
        encoding = stream.encoding or "utf-8"
        shown = visible(text, lines=not error)
        tqdm.write(shown.encode(encoding, "backslashreplace").decode(encoding), file=stream)
        # Otherwise Python would write it when the process ends, too late to say that it failed.
        stream.flush()
    except OSError as failure:
        if not error:
            drop_output()
            raise click.ClickException(f"standard output cannot be written: {failure.strerror}") from failure


def visible(text: str, *, lines: bool = False) -> str:
    r"""Escape what is not printable as Python's ``repr`` does: names of files may hold any bytes, and a terminal obeys.

    Args:
        text: of any characters.
        lines: let line feeds end lines.

    Example:
        >>> print(visible("a" + chr(27) + "[31m" + chr(13) + ".png"))
        a\x1b[31m\r.png
    """
    return "".join(
        sign if sign.isprintable() or (lines and sign == "\n") else sign.encode("unicode_escape").decode()
        for sign in text
    )


def drop_output() -> None:
    """Let nothing more be written to stdout: Python tries once more when the process ends, and would complain."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def table(detections: Iterable[Detection], names: dict[str, Path]) -> str:
    """Lay boxes out in aligned columns: file, class, score, box in whole pixels, milliseconds.

    Args:
        detections: one line each.
        names: what to call a picture, by its path.

    Returns:
        The lines, the header first, joined by newlines.
    """
    rows: list[Sequence[str]] = [_HEADER]
    for found in detections:
        box = " ".join(f"{value:.0f}" for value in found.box)
        name = visible(str(names.get(found.picture.file, found.picture.file)))
        rows.append((name, visible(found.class_name), f"{found.score:.2f}", box, f"{found.milliseconds:.1f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, label, *numbers in rows:
        right = (value.rjust(width) for value, width in zip(numbers, widths[2:], strict=True))
        lines.append("  ".join((name.ljust(widths[0]), label.ljust(widths[1]), *right)))
    return "\n".join(lines)
