"""The networks of a table, judged row by row: :func:`judge_table`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from fastcam.data import Split
from fastcam.evaluation.judge import Judge
from fastcam.evaluation.report import COLUMNS
from fastcam.evaluation.trivial import trivial_boxes
from fastcam.evaluation.truth import Truth, ground_truth
from fastcam.inputs import Inputs
from fastcam.reproduce.budget import BudgetSpentError
from fastcam.reproduce.extra import gaussian_counts, pxap_of
from fastcam.reproduce.judged import RowJudged, kept_or_judged
from fastcam.reproduce.kept import Kept
from fastcam.reproduce.observed import Observed
from fastcam.reproduce.summary import summarize, summarize_trivial
from fastcam.reproduce.table import Row, Table, Training

__all__ = ["judge_table"]

_Results = dict[str, list[list[RowJudged]]]


def judge_table(
    table: Table,
    networks: Iterable[Observed],
    training: Split,
    testing: Split,
    inputs: Inputs,
    kept: Kept,
    failures: Mapping[Training, str],
    extra: Sequence[str],
) -> dict[str, Any]:
    """Judge the rows, and beside them what looks at no image.

    Args:
        table: whose rows.
        networks: as they are trained; where the budget ends them, what came before counts.
        training: the training images, whose boxes give the mean box.
        testing: the test images, with boxes, or with masks alone.
        inputs: whose size is evaluated.
        kept: where what is judged is kept.
        failures: of trainings that came to nothing; filled as networks are asked for.
        extra: of :data:`fastcam.reproduce.extra.EXTRA`.

    Returns:
        ``size``, ``map_size``, ``trivial`` and ``families``, and why it ``ended`` early, or None.

    Raises:
        BudgetSpentError: before the first row was judged.
        ValueError: test images without boxes or masks.
    """
    truth = ground_truth(testing, inputs) if testing.has_boxes else None
    if truth is None and not testing.has_masks:
        raise ValueError(f"localization is judged by boxes: {testing.dataset} {testing.name} has images without")
    if "pxap" in extra and not testing.has_masks:
        raise ValueError(f"PxAP is judged by masks: {testing.dataset} {testing.name} has images without")
    results: _Results = {family: [[] for _ in rows] for family, rows in table.families.items()}
    map_size: tuple[int, ...] = ()
    ended = None
    try:
        for network in networks:
            map_size = tuple(network.maps[False].shape[1:])
            for family, rows in table.families.items():
                for row, seeds in zip(rows, results[family], strict=True):
                    if row.training == network.training:
                        seeds.append(kept_or_judged(network, row.protocol, truth, testing, inputs, extra, kept))
    except BudgetSpentError as error:
        if not any(seeds for rows in results.values() for seeds in rows):
            raise
        ended = str(error)
    trained_on = ground_truth(training, inputs) if training.has_boxes else None
    families = {
        family: _family(rows, results[family], failures, truth, inputs) for family, rows in table.families.items()
    }
    trivial = _trivial(table, results, truth, trained_on, testing, inputs, extra)
    return {
        "size": list(inputs.size),
        "map_size": list(map_size),
        "trivial": trivial,
        "families": families,
        "ended": ended,
    }


def _family(
    rows: Sequence[Row],
    results: Sequence[Sequence[RowJudged]],
    failures: Mapping[Training, str],
    truth: Truth | None,
    inputs: Inputs,
) -> list[dict[str, Any]]:
    """Sum up a family; a row that has no result says why, and one without its baseline stands alone."""
    there = [number for number, seeds in enumerate(results) if seeds]
    seeds = min((len(results[number]) for number in there), default=0)
    centred = None
    if truth is not None:
        protocol = rows[0].protocol
        box = trivial_boxes(inputs.size, None, protocol)["centred_box"]
        centred = Judge(truth, protocol).fits(torch.from_numpy(box)[None])
    groups = [there] if 0 in there else [[number] for number in there]
    told: dict[int, dict[str, Any]] = {}
    for group in groups:
        given = [rows[number] for number in group], [results[number][:seeds] for number in group]
        told |= zip(group, summarize(*given, centred), strict=True)
    for number, row in enumerate(rows):
        if number not in told:
            why = failures.get(row.training, "not reached within the budget")
            told[number] = {"name": row.name, "techniques": dict(row.techniques), "empty": why}
    return [told[number] for number in range(len(rows))]


def _trivial(
    table: Table,
    results: _Results,
    truth: Truth | None,
    trained_on: Truth | None,
    testing: Split,
    inputs: Inputs,
    extra: Sequence[str],
) -> dict[str, Any]:
    trivial: dict[str, Any] = {}
    for family, rows in table.families.items():
        seeds = results[family][0]
        if truth is None or not seeds:
            continue
        correct = np.stack([one.judged.hits()["top1_cls"] for one in seeds])
        protocol = rows[0].protocol
        for name, box in trivial_boxes(inputs.size, trained_on, protocol).items():
            trivial.setdefault(COLUMNS[name], {})[family] = summarize_trivial(box, truth, protocol, correct)
    if "pxap" in extra:
        found = float(pxap_of(gaussian_counts(testing, inputs).sum(axis=0)))
        trivial["centred Gaussian"] = {family: {"pxap": found} for family in table.families}
    return trivial
