"""A table as Markdown and as a plot."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastcam.evaluation.plots import empty_figure, figure_bytes
from fastcam.reproduce.statistics import in_points
from fastcam.result_files import replacing

__all__ = ["MEASURE_TITLES", "cell", "choice_line", "markdown", "write_plot"]

MEASURE_TITLES = {"top1_cls": "Top-1 Cls", "gt_loc": "GT Loc", "top1_loc": "Top-1 Loc"}

_TECHNIQUES = {"tap": "TAP", "nwc": "NWC", "pas": "PaS"}


def markdown(result: Mapping[str, Any], title: str = "Ablation") -> str:
    """Lay a result of :func:`fastcam.reproduce.reproduce` out as Markdown, under the table's title."""
    lines = [f"# {title}: {result['model']} on {result['dataset']}", "", *_caption(result)]
    for family, rows in result["families"].items():
        lines += ["", f"## {family}", "", *_table(rows, result["trivial"], family)]
    lines += ["", *_notes(result)]
    return "\n".join([*lines, ""])


def _caption(result: Mapping[str, Any]) -> list[str]:
    seeds, images = result["seeds"], result["test_images"]
    spread = ", mean ± standard deviation over seeds" if len(seeds) > 1 else ""
    return [
        f"{result['classes']} classes, {result['train_images']} training and {images} test images; "
        f"{len(seeds)} seed{'s' * (len(seeds) != 1)}; {result['training']}. "
        f"Maps are {result['map_size'][0]}x{result['map_size'][1]}, boxes are judged at "
        f"{result['size'][0]}x{result['size'][1]} (whole image resized, IoU at least 0.5). "
        f"TAP has threshold {result['tap_threshold']:g}. " + result["remark"],
        "",
        (
            f"Percent{spread}. In brackets the difference from the baseline and its 95% interval (paired bootstrap "
            "over images); *n.r.*: not resolved, the interval holds 0. The oracle threshold is chosen on the test "
            "boxes, in steps of 0.01 (of more than 2,000 images first in steps of 0.05): no method, an upper bound."
        ),
    ]


def _table(rows: Sequence[Mapping[str, Any]], trivial: Mapping[str, Any], family: str) -> list[str]:
    marks = [_TECHNIQUES[name] for name in rows[0]["techniques"]]
    columns = [*MEASURE_TITLES.values(), f"{MEASURE_TITLES['gt_loc']}, oracle threshold"]
    lines = [f"| {' | '.join([*marks, *columns])} |", f"|{':-:|' * len(marks)}{'---|' * len(columns)}"]
    for row in (row for row in rows if "empty" not in row):
        used = ("✓" if on else "" for on in row["techniques"].values())
        cells = (cell(row[measure]) for measure in MEASURE_TITLES)
        lines.append(f"| {' | '.join([*used, *cells])} | {100 * row['oracle_gt_loc']['mean']:.1f} |")
    for name, values in trivial.items():
        own = values.get(family, {})
        if "gt_loc" not in own:
            continue
        # The name stands in the first column, of a technique or of the accuracy.
        empty = " |" * len(marks)
        lines.append(f"| {name} |{empty} {100 * own['gt_loc']:.1f} | {100 * own['top1_loc']:.1f} | |")
    return lines


def cell(values: Mapping[str, Any]) -> str:
    """Say a number, its spread and its difference from the baseline."""
    spread = f" ± {100 * values['std']:.1f}" if len(values["seeds"]) > 1 else ""
    text = f"{100 * values['mean']:.1f}{spread}"
    difference = values.get("difference")
    if difference is None or not (difference["mean"] or difference["low"] or difference["high"]):
        return text
    mean, low, high = in_points(difference)
    return f"{text} ({mean}, {low} to {high}{'' if difference['resolved'] else ', *n.r.*'})"


def _notes(result: Mapping[str, Any]) -> list[str]:
    notes = ["Trivial predictors look at no image; their Top-1 Loc takes the baseline's classifier."]
    for family, every in result["families"].items():
        rows = [row for row in every if "empty" not in row]
        notes += [f"{family}, {row['name']}: {row['empty']}." for row in every if "empty" in row]
        if not rows:
            continue
        worse = [row["name"] for row in rows if _hurts(row)]
        unclear = [row["name"] for row in rows if "difference" in row["gt_loc"] and not _resolved(row)]
        against = {key: f"{100 * rows[-1]['against_centred'][key]:+.1f}" for key in ("mean", "low", "high")}
        notes.append(
            f"{family}: GT Loc of {rows[-1]['name']} minus that of the centred box is {against['mean']} "
            f"({against['low']} to {against['high']})."
        )
        if worse:
            notes.append(f"{family}: GT Loc is lower than the baseline's with {', '.join(worse)}.")
        if unclear:
            notes.append(f"{family}: the images do not resolve the difference in GT Loc of {', '.join(unclear)}.")
    notes += [choice_line(title, choice) for title, choice in result["choices"].items()]
    times = f"{result['seconds']:.0f} s in all, {result['choice_seconds']:.0f} s of them for the choice"
    if result["resumed"]:
        times = f"{result['seconds']:.0f} s since it last went on from its checkpoints"
    notes.append(f"{result['machine']}; {times}.")
    return [line for note in notes for line in (note, "")][:-1]


def choice_line(title: str, choice: Mapping[str, Any]) -> str:
    """Say which schedule a training took, and what was tried."""
    if not choice["tried"]:
        return f"Schedule of {title}: {choice['taken']}, {choice['how']}."
    tried = ", ".join(f"{one['name']}: {_accuracy(one)}" for one in choice["tried"])
    return (
        f"Schedule of {title}: {choice['taken']}, by its accuracy on training images held out ({choice['how']}): "
        f"{tried}."
    )


def _accuracy(tried: Mapping[str, Any]) -> str:
    return "diverged" if tried["accuracy"] is None else f"{100 * tried['accuracy']:.1f}"


def _hurts(row: Mapping[str, Any]) -> bool:
    return bool(row["gt_loc"].get("difference", {"high": 0})["high"] < 0)


def _resolved(row: Mapping[str, Any]) -> bool:
    return bool(row["gt_loc"]["difference"]["resolved"])


def write_plot(path: str | os.PathLike[str], result: Mapping[str, Any]) -> None:
    """Draw GT Loc and Top-1 Loc of every row and family, with the centred box as a line; PNG, SVG or PDF.

    Raises:
        ImportError: matplotlib is not installed.
    """
    families = result["families"]
    figure = empty_figure(10, 3.4 * len(families))
    for axes, (family, every) in zip(
        figure.subplots(len(families), squeeze=False)[:, 0], families.items(), strict=True
    ):
        rows = [row for row in every if "empty" not in row]
        for number, measure in enumerate(("gt_loc", "top1_loc")):
            places = [place + 0.4 * (number - 0.5) for place in range(len(rows))]
            means, stds = ([100 * row[measure][key] for row in rows] for key in ("mean", "std"))
            bars = axes.bar(places, means, 0.38, yerr=stds, capsize=2, label=MEASURE_TITLES[measure])
            axes.bar_label(bars, fmt="%.0f", fontsize=8)
        axes.plot(
            range(len(rows)),
            [100 * row["oracle_gt_loc"]["mean"] for row in rows],
            "k_",
            markersize=18,
            label="GT Loc, oracle threshold",
        )
        for (name, values), style in zip(result["trivial"].items(), (":", "--", "-."), strict=False):
            axes.axhline(100 * values[family]["gt_loc"], color="grey", linestyle=style, linewidth=1, label=name)
        axes.set_xticks(range(len(rows)), [row["name"].replace(" + ", "\n+ ") for row in rows], fontsize=8)
        axes.set(title=family, ylabel="%", ylim=(0, 100))
    figure.axes[0].legend(fontsize=7, ncols=3, loc="upper left")
    with replacing(path) as file:
        file.write(figure_bytes(figure, Path(path).suffix.removeprefix(".").lower()))
