"""What the command says: lines that any terminal can show, and the table of boxes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from fastcam.export import Detection

__all__ = ["say", "table"]

_HEADER = ("file", "class", "score", "box (x0 y0 x1 y1)", "ms")


def say(text: str, *, error: bool = False) -> None:
    """Print a line to stdout, or stderr, above a progress bar that may be there.

    Characters that the stream's encoding lacks (a file name may be any bytes) are escaped.
    """
    stream = sys.stderr if error else sys.stdout
    encoding = stream.encoding or "utf-8"
    tqdm.write(text.encode(encoding, "backslashreplace").decode(encoding), file=stream)


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
        name = str(names.get(found.picture.file, found.picture.file))
        rows.append((name, found.class_name, f"{found.score:.2f}", box, f"{found.milliseconds:.1f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, label, *numbers in rows:
        right = (value.rjust(width) for value, width in zip(numbers, widths[2:], strict=True))
        lines.append("  ".join((name.ljust(widths[0]), label.ljust(widths[1]), *right)))
    return "\n".join(lines)
