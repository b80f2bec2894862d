"""A figure with the numbers behind it: :class:`Drawn`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastcam.evaluation.plots import figure_bytes
from fastcam.files import write_whole
from fastcam.reproduce.statistics import in_points
from fastcam.result_files import json_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Drawn", "sentence", "told_difference", "write_figure"]


@dataclass(frozen=True)
class Drawn:
    """A figure.

    Attributes:
        figure: matplotlib's.
        numbers: behind it; strings, numbers, lists and dictionaries alone.
        says: one sentence on what they show here.
    """

    figure: Figure
    numbers: Mapping[str, Any]
    says: str


def write_figure(out: Path, name: str, drawn: Drawn, of: Mapping[str, Any]) -> None:
    """Write a figure as PNG and SVG, and its numbers as JSON, all of them or none.

    Args:
        out: the folder, which must exist.
        name: of the files, without a suffix.
        drawn: the figure.
        of: what it is of: the data and the networks.

    Raises:
        OSError: one cannot be written.
    """
    content = {"figure": name, "says": drawn.says, **of, **drawn.numbers}
    pictures = {out / f"{name}.{kind}": figure_bytes(drawn.figure, kind) for kind in ("png", "svg")}
    write_whole({**pictures, out / f"{name}.json": json_bytes(content)})


def told_difference(difference: Mapping[str, float]) -> tuple[str, str]:
    """Say the mean of a difference, and its interval with whether it is resolved, in points.

    Example:
        >>> told_difference({"mean": 0.015, "low": -0.002, "high": 0.035, "resolved": False})
        ('+1.5', '-0.2 to +3.5, not resolved')
    """
    mean, low, high = in_points(difference)
    return mean, f"{low} to {high}{'' if difference['resolved'] else ', not resolved'}"


def sentence(parts: Sequence[str]) -> str:
    """Join what is said of several networks.

    Example:
        >>> sentence(["under GAP it rains", "under TAP it snows"])
        'Under GAP it rains; under TAP it snows.'
    """
    joined = "; ".join(parts)
    return f"{joined[:1].upper()}{joined[1:]}."
