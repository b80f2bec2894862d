"""An evaluation in numbers, as JSON and as Markdown: :class:`Report`, and how it is put together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastcam.evaluation.judge import Judge, Judged
from fastcam.evaluation.numbers import (
    ORACLE,
    Chosen,
    Number,
    Numbers,
    beside_judged,
    of_box,
    of_judged,
    of_metric,
    of_pass,
    title,
)
from fastcam.evaluation.score_pass import Pass
from fastcam.evaluation.settings import Settings
from fastcam.evaluation.trivial import sweep_gaussian, trivial_boxes
from fastcam.evaluation.truth import Truth
from fastcam.metrics import MaxBoxAcc
from fastcam.protocol import NAMED, WSOLEVAL, Protocol

__all__ = ["COLUMNS", "Report", "described", "make_report"]

COLUMNS = {
    "score_maps": "score maps",
    "whole_image": "whole image",
    "centred_box": "centred box, side 0.7",
    "mean_training_box": "mean training box (uses boxes)",
    "centred_gaussian": "centred Gaussian",
}
"""Whose numbers a report has, by their keys, and what its table calls them."""


_MEANINGS = {
    "gt_loc": "GT-Loc: the true class's map, cut at the protocol's fixed threshold, has a box of IoU 0.5 or more.",
    "top1_loc": "Top-k Loc: GT-Loc, and the true class is among the k likeliest (Top-k Cls).",
    "max_box_acc_50": "MaxBoxAcc (V1): the largest contour's box, at the one threshold that is best for all images.",
    "max_box_acc_v2": "MaxBoxAccV2: any contour's box, the mean over IoUs, each at its own best threshold.",
    "pxap": "PxAP: the area below precision over recall of the pixels, over all thresholds.",
}


@dataclass(frozen=True)
class Report:
    """What came of an evaluation.

    :meth:`to_json` has three keys. ``facts`` says what was evaluated and how, in words and counts. ``numbers`` has,
    for each of :data:`COLUMNS` that there is, numbers by key; each has a ``value`` in [0, 1], the ``threshold`` it
    belongs to or null, and ``chosen_on``: ``"oracle"`` where the threshold is the best on the very images counted, the
    name of the split that it was chosen on, ``"fixed"`` for a protocol's own, null where there is none. ``curves`` has
    lists of equal length: ``thresholds`` with ``max_box_acc_<IoU>`` and ``max_box_acc_v2_<IoU>``, and ``precision``
    (null where nothing is kept) with ``recall``, from the highest threshold down.

    The keys of ``numbers``, IoU thresholds in percent: ``top1_cls``, ``top5_cls``; at the protocol's fixed threshold
    ``gt_loc`` (or ``loc``, where the map is that of the predicted class), ``top1_loc``, ``top5_loc``;
    ``max_box_acc_50`` and so on (largest contour) with ``max_box_acc_mean``; ``max_box_acc_v2_50`` and so on (any
    contour) with their mean ``max_box_acc_v2``; the same after ``top1_`` and ``top5_`` where the class must be right
    too; ``box_acc_50``, ``box_acc_mean``, ``box_acc_v2_50``, ``box_acc_v2`` at thresholds of another split; ``pxap``,
    ``peak_iou``, and ``mask_iou`` at the threshold of another split.

    Attributes:
        facts: what was evaluated and how.
        numbers: by whose they are and by key.
        curves: see above.

    Example:
        >>> report = Report({"images": 2}, {"score_maps": {"max_box_acc_50": Number(0.5, 0.25, ORACLE)}})
        >>> print(report.to_markdown())
        images: 2
        <BLANKLINE>
        | percent            |         score maps |
        |:-------------------|-------------------:|
        | MaxBoxAcc, IoU 0.5 | 50.00 oracle 0.250 |
        <BLANKLINE>
        MaxBoxAcc (V1): the largest contour's box, at the one threshold that is best for all images.
        oracle: at the threshold that is best on these very images.
        >>> report.to_json()["numbers"]["score_maps"]["max_box_acc_50"]["chosen_on"]
        'oracle'
    """

    facts: Mapping[str, Any]
    numbers: Mapping[str, Numbers]
    curves: Mapping[str, list[float]] = field(default_factory=dict)

    def cut_note(self) -> str:
        """Say at which threshold the rows of single images, and the gallery, have their boxes or masks cut."""
        numbers = self.numbers["score_maps"]
        # Those of the level that rows are found at: an IoU of 0.5, or the first one.
        keys = [f"{family}_50" for family in ("box_acc", "max_box_acc")]
        keys += [key for key in numbers if key.startswith("box_acc_")] + ["mask_iou"]
        keys += [key for key in numbers if key.startswith("max_box_acc_")] + ["peak_iou"]
        key = next(key for key in keys if key in numbers)
        number = numbers[key]
        best_on = "these very images (an oracle)" if number.chosen_on == ORACLE else f"the {number.chosen_on} split"
        what = "Masks are" if "iou" in key else "Found boxes are those of the largest contour,"
        return f"{what} cut at the threshold {number.threshold:g}, the best one on {best_on}."

    def to_json(self) -> dict[str, Any]:
        """Say everything in what JSON can hold; what is not a number is null."""
        numbers = {whose: {key: _entry(one) for key, one in found.items()} for whose, found in self.numbers.items()}
        curves = {
            name: [value if math.isfinite(value) else None for value in curve] for name, curve in self.curves.items()
        }
        return {"facts": dict(self.facts), "numbers": numbers, "curves": curves}

    def to_markdown(self) -> str:
        """Lay the numbers out as a table, in percent, one row a number, and say in a line each what they are."""
        columns = [whose for whose in COLUMNS if self.numbers.get(whose)]
        keys = list(dict.fromkeys(key for whose in columns for key in self.numbers[whose]))
        rows = [["percent", *(COLUMNS[whose] for whose in columns)]]
        for key in keys:
            cells = [self.numbers[whose].get(key) for whose in columns]
            rows.append([title(key), *("" if one is None else _cell(one) for one in cells)])
        # Two blanks at its end keep a line from running into the next one.
        lines = "  \n".join(f"{name}: {value}" for name, value in self.facts.items()).splitlines()
        lines.append("")
        lines += _aligned(rows)
        how = sorted({one.chosen_on for found in self.numbers.values() for one in found.values() if one.chosen_on})
        notes = {
            ORACLE: "oracle: at the threshold that is best on these very images.",
            "fixed": "fixed: at a threshold given beforehand.",
        }
        lines += ["", *(text for key, text in _MEANINGS.items() if key in keys)]
        lines += [*(notes.get(one, f"{one}: at the threshold that is best on the {one} split.") for one in how)]
        return "\n".join(lines).rstrip()


def described(protocol: Protocol) -> str:
    """Name a protocol by the one that it differs from in percentile and threshold alone.

    Example:
        >>> import fastcam
        >>> described(fastcam.AUTHORS.replace(percentile=95))
        'authors, percentile 95, threshold 0.35'
    """
    names = (
        name
        for name, one in NAMED.items()
        if protocol.replace(percentile=one.percentile, threshold=one.threshold) == one
    )
    threshold = protocol.threshold if isinstance(protocol.threshold, str) else f"{protocol.threshold:g}"
    return f"{next(names, 'custom')}, percentile {protocol.percentile:g}, threshold {threshold}"


def make_report(
    facts: Mapping[str, Any],
    done: Pass,
    truth: Truth,
    settings: Settings,
    *,
    judged: Judged | None = None,
    protocol: Protocol | None = None,
    training: Truth | None = None,
    chosen: Chosen | None = None,
) -> Report:
    """Collect everything about a pass: its numbers, those of the trivial predictors on the same images, the curves.

    Args:
        facts: what was evaluated and how.
        done: the pass.
        truth: its ground truth.
        settings: its settings.
        judged: what a network did on the images of the pass, at the threshold of ``protocol``.
        protocol: how its boxes were found and compared; None: there is no network.
        training: the ground truth that the mean box is of; None: there is none.
        chosen: thresholds of another split.

    Returns:
        The :class:`Report`.
    """
    classified = {} if judged is None else of_judged(judged, "fixed")
    numbers: dict[str, Numbers] = {"score_maps": {**classified, **of_pass(done, chosen)}}
    if done.largest is not None and done.used.any():
        correct = None if judged is None else judged.correct
        boxes = trivial_boxes(settings.inputs.size, training, WSOLEVAL)
        beside = {} if protocol is None else trivial_boxes(settings.inputs.size, training, protocol)
        for name, box in boxes.items():
            ious = _ious(box, truth, done.used, WSOLEVAL)
            own: Numbers = {}
            if protocol is not None:
                own = beside_judged(Judged(_ious(beside[name], truth, done.used, protocol) >= 0.5, correct))
            numbers[name] = {**own, **of_box(ious, settings.iou_thresholds)}
        largest, of_any = sweep_gaussian(truth, done.used, settings)
        numbers["centred_gaussian"] = {**of_metric(largest, "max_box_acc"), **of_metric(of_any, "max_box_acc_v2")}
    if done.centred is not None and done.used.any():
        pxap = Number(float(done.centred.compute()["pxap"]))
        numbers["centred_gaussian"] = {**numbers.get("centred_gaussian", {}), "pxap": pxap}
    return Report(facts, numbers, _curves(done))


def _ious(box: NDArray[np.float64], truth: Truth, used: NDArray[np.bool_], protocol: Protocol) -> NDArray[np.float64]:
    return Judge(truth, protocol).ious(torch.from_numpy(box)[None])[used]


def _curves(done: Pass) -> dict[str, list[float]]:
    curves: dict[str, list[float]] = {}

    def add(metric: MaxBoxAcc, family: str) -> None:
        values = metric.compute(curves=True)
        for level in metric.iou_thresholds:
            name = f"{level * 100:g}"
            curves[f"{family}_{name}"] = values[f"curve_{name}"].tolist()

    if done.largest is not None and done.any is not None:
        curves["thresholds"] = done.largest.thresholds.tolist()
        add(done.largest, "max_box_acc")
        add(done.any, "max_box_acc_v2")
    if done.pixels is not None:
        values = done.pixels.compute(curves=True)
        curves |= {name: values[name].tolist() for name in ("precision", "recall")}
    return curves


def _entry(number: Number) -> dict[str, Any]:
    value = number.value if math.isfinite(number.value) else None
    return {"value": value, "threshold": number.threshold, "chosen_on": number.chosen_on}


def _cell(number: Number) -> str:
    parts = [f"{100 * number.value:.2f}"]
    if number.chosen_on is not None:
        parts.append(number.chosen_on)
    if number.threshold is not None:
        parts.append(f"{number.threshold:.3f}")
    return " ".join(parts)


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(cells: list[str]) -> str:
        rest = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return f"| {' | '.join([cells[0].ljust(widths[0]), *rest])} |"

    rule = f"|:{'-' * (widths[0] + 1)}|{'|'.join('-' * (width + 1) + ':' for width in widths[1:])}|"
    return [line(rows[0]), rule, *map(line, rows[1:])]
