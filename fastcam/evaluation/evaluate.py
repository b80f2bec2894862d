"""From passes to a report: the numbers of score maps beside those that need no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcam.evaluation.ground_truth import Comparison
from fastcam.evaluation.numbers import Chosen, Number, Numbers, loc_of_box, of_box, of_metric, of_pass
from fastcam.evaluation.predictors import best_ious, centred_box, clipped, sweep_gaussian, whole_image
from fastcam.evaluation.report import Report
from fastcam.evaluation.score_pass import Pass
from fastcam.evaluation.settings import Settings
from fastcam.metrics import MaxBoxAcc

__all__ = ["make_report"]


def make_report(
    facts: Mapping[str, Any],
    done: Pass,
    truth: Sequence[NDArray[np.int64] | None],
    settings: Settings,
    *,
    classified: Numbers | None = None,
    correct: NDArray[np.bool_] | None = None,
    comparison: Comparison | None = None,
    mean: NDArray[np.float64] | None = None,
    chosen: Chosen | None = None,
) -> Report:
    """Collect everything about a pass: its numbers, those of the trivial predictors on the same images, the curves.

    Args:
        facts: what was evaluated and how.
        done: the pass.
        truth: its ground truth.
        settings: its settings.
        classified: numbers that only a network gives, to stand first.
        correct: (N, 2) bool, top-1 and top-5 of each record.
        comparison: how the network's boxes at the fixed threshold were compared with the ground truth; None: there is
            no network, or no ground truth.
        mean: the mean training box, in evaluated pixels.
        chosen: thresholds of another split.

    Returns:
        The :class:`Report`.
    """
    numbers: dict[str, Numbers] = {"score_maps": {**(classified or {}), **of_pass(done, chosen)}}
    if done.largest is not None and done.used.any():
        size = settings.geometry.size
        boxes = {"whole_image": whole_image(size), "centred_box": centred_box(size)}
        for name, box in boxes.items():
            numbers[name] = {
                **_beside(box, truth, done.used, comparison, correct),
                **of_box(best_ious(clipped(box, size), truth, done.used), settings.iou_thresholds),
            }
        if mean is not None:
            # A ground truth like the others: its ends are theirs.
            moved = mean if comparison is None else comparison.moved(mean)
            numbers["mean_training_box"] = {
                **_beside(moved, truth, done.used, comparison, correct),
                **of_box(best_ious(mean, truth, done.used), settings.iou_thresholds),
            }
        largest, of_any = sweep_gaussian(truth, done.used, settings)
        numbers["centred_gaussian"] = {**of_metric(largest, "max_box_acc"), **of_metric(of_any, "max_box_acc_v2")}
    if done.centred is not None and done.used.any():
        pxap = Number(float(done.centred.compute()["pxap"]))
        numbers["centred_gaussian"] = {**numbers.get("centred_gaussian", {}), "pxap": pxap}
    return Report(facts, numbers, _curves(done))


def _beside(
    box: NDArray[np.float64],
    truth: Sequence[NDArray[np.int64] | None],
    used: NDArray[np.bool_],
    comparison: Comparison | None,
    correct: NDArray[np.bool_] | None,
) -> Numbers:
    """The numbers of one box for all images that a network's boxes have too, compared as those are."""
    if comparison is None:
        return {}
    moved = [None if boxes is None else comparison.moved(boxes) for boxes in truth]
    ious = best_ious(box, moved, used, inclusive=comparison.inclusive)
    return loc_of_box(ious, None if correct is None else correct[used])


def _curves(done: Pass) -> dict[str, list[float]]:
    curves: dict[str, list[float]] = {}

    def add(metric: MaxBoxAcc, family: str) -> None:
        values = metric.compute()
        for level in metric.iou_thresholds:
            name = f"{level * 100:g}"
            curves[f"{family}_{name}"] = values[f"curve_{name}"].tolist()

    if done.largest is not None and done.any is not None:
        curves["thresholds"] = done.largest.thresholds.tolist()
        add(done.largest, "max_box_acc")
        add(done.any, "max_box_acc_v2")
    if done.pixels is not None:
        values = done.pixels.compute()
        curves |= {name: values[name].tolist() for name in ("precision", "recall")}
    return curves
