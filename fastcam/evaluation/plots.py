"""Accuracy over the threshold, and precision over recall, as PNG or SVG. Needs matplotlib."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastcam.evaluation.report import COLUMNS, Report
from fastcam.result_files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["empty_figure", "figure_bytes", "plot_precision_recall", "plot_thresholds"]


def plot_thresholds(report: Report, path: str | os.PathLike[str]) -> None:
    """Draw the accuracy at every threshold: of the largest contour (V1), of any (V2), and of what needs no network.

    Args:
        report: of data with boxes.
        path: the file; its suffix says the format, ``.png`` or ``.svg``.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: a report without boxes.
    """
    if "thresholds" not in report.curves:
        raise ValueError("report has no boxes, so no accuracy over thresholds to draw")
    figure = empty_figure()
    axes = figure.subplots(1, 2, sharey=True)
    for axis, family, name in zip(
        axes, ("max_box_acc_", "max_box_acc_v2_"), ("largest contour (V1)", "any contour (V2)"), strict=True
    ):
        levels = [key.removeprefix(family) for key in report.curves if _is_level(key, family)]
        for number, level in enumerate(levels):
            _curve(axis, report, family + level, f"C{number}", f"IoU {float(level) / 100:g}")
            for style, whose in zip((":", "--"), ("centred_box", "mean_training_box"), strict=True):
                fixed = report.numbers.get(whose, {}).get(family + level)
                if fixed is not None:
                    axis.axhline(100 * fixed.value, color=f"C{number}", linestyle=style, linewidth=1)
        axis.set(title=name, xlabel="threshold", xlim=(0, 1), ylim=(0, 100))
        axis.grid(alpha=0.3)
        axis.legend(loc="upper right")
    axes[0].set_ylabel("right boxes, percent")
    figure.supxlabel(
        f"dots: oracle thresholds; dotted: {COLUMNS['centred_box']}; dashed: mean training box", fontsize=8
    )
    _save(figure, path)


def plot_precision_recall(report: Report, path: str | os.PathLike[str]) -> None:
    """Draw precision over recall of the pixels, over the whole data set.

    Args:
        report: of data with masks.
        path: the file; its suffix says the format, ``.png`` or ``.svg``.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: a report without masks.
    """
    if "precision" not in report.curves:
        raise ValueError("report has no masks, so no precision and recall to draw")
    figure = empty_figure(width=5)
    axis = figure.subplots()
    numbers = report.numbers["score_maps"]
    label = f"PxAP {100 * numbers['pxap'].value:.1f}"
    axis.plot(report.curves["recall"], report.curves["precision"], label=label)
    axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axis.grid(alpha=0.3)
    axis.legend(loc="lower left")
    _save(figure, path)


def _is_level(key: str, family: str) -> bool:
    return key.startswith(family) and key.removeprefix(family).replace(".", "").isdigit()


def _curve(axis: Any, report: Report, key: str, colour: str, label: str) -> None:  # noqa: ANN401
    thresholds: Sequence[float] = report.curves["thresholds"]
    accuracies = 100 * np.array(report.curves[key])
    axis.plot(thresholds, accuracies, color=colour, label=label)
    best = int(accuracies.argmax())
    axis.plot(thresholds[best], accuracies[best], "o", color=colour, markersize=5)


def empty_figure(width: float = 9, height: float = 4.2) -> Figure:
    """Return a figure of a size in inches, without a window system.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        # Not pyplot: it would choose a window system, and keep every figure.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('plots need matplotlib: pip install "fastcam[evaluation]"') from error
    return Figure(figsize=(width, height), layout="constrained")


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """Return a figure as a file of a kind, such as ``"png"`` or ``"svg"``; the same figure gives the same bytes."""
    import matplotlib

    buffer = io.BytesIO()
    # A date and names drawn by chance would differ from run to run.
    with matplotlib.rc_context({"svg.hashsalt": "fastcam"}):
        figure.savefig(buffer, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()


def _save(figure: Figure, path: str | os.PathLike[str]) -> None:
    with replacing(path) as file:
        file.write(figure_bytes(figure, Path(path).suffix.removeprefix(".").lower()))
