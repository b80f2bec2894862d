"""A table's numbers: every row's shares, spread, oracle and difference from the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastcam.evaluation.judge import Judge
from fastcam.evaluation.truth import Truth
from fastcam.protocol import Protocol
from fastcam.reproduce.judged import THRESHOLDS, RowJudged
from fastcam.reproduce.statistics import paired_difference, spread_over_seeds
from fastcam.reproduce.table import Row

__all__ = ["MEASURES", "summarize", "summarize_trivial"]

MEASURES = ("top1_cls", "gt_loc", "top1_loc")
"""The numbers of a row: keys of :meth:`fastcam.evaluation.Judged.hits`."""


def summarize(
    rows: Sequence[Row], results: Sequence[Sequence[RowJudged]], centred: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Sum up the rows of one family.

    Args:
        rows: the baseline first.
        results: of each row, one entry a seed.
        centred: (N,) bool, whether the centred box has found the object.

    Returns:
        For each row a dictionary of ``name``, ``techniques`` and, as fractions, ``top1_cls``, ``gt_loc`` and
        ``top1_loc``, each with ``mean``, ``std`` and ``seeds``, and with ``difference`` (``mean``, ``low``, ``high``,
        ``resolved``) except for the baseline; ``against_centred``, the difference in GT Loc from the centred box;
        ``oracle_gt_loc`` and ``oracle_threshold``, chosen on the same boxes.
    """
    baseline = _hits(results[0])
    told = []
    for row, seeds in zip(rows, results, strict=True):
        entry: dict[str, Any] = {"name": row.name, "techniques": dict(row.techniques)}
        hits = _hits(seeds)
        for measure in MEASURES:
            mean, std = spread_over_seeds(hits[measure])
            entry[measure] = {"mean": mean, "std": std, "seeds": hits[measure].mean(axis=1).tolist()}
            if row is not rows[0]:
                entry[measure]["difference"] = _difference(hits[measure], baseline[measure])
        entry["against_centred"] = _difference(hits["gt_loc"], centred[None])
        best = [one.curve.max() for one in seeds]
        entry["oracle_gt_loc"] = {"mean": float(np.mean(best)), "seeds": [float(one) for one in best]}
        entry["oracle_threshold"] = [float(THRESHOLDS[one.curve.argmax()]) for one in seeds]
        told.append(entry)
    return told


def summarize_trivial(
    box: NDArray[np.float64], truth: Truth, protocol: Protocol, correct: NDArray[np.bool_]
) -> dict[str, Any]:
    """Judge a box that is the same in every image.

    Args:
        box: x0, y0, x1, y1 in evaluated pixels.
        truth: of the N images.
        protocol: how it is compared.
        correct: (S, N) bool, whether the baseline's classifier is right, for Top-1 Loc.

    Returns:
        The ``box``, and as fractions ``gt_loc`` and ``top1_loc``.
    """
    given = torch.from_numpy(box)
    fits = Judge(truth, protocol).fits(given[None])
    return {
        "box": torch.round(given, decimals=2).tolist(),
        "gt_loc": float(fits.mean()),
        "top1_loc": float((fits & correct).mean()),
    }


def _hits(seeds: Sequence[RowJudged]) -> dict[str, NDArray[np.bool_]]:
    """For each measure (S, N) bool."""
    every = [one.judged.hits() for one in seeds]
    return {measure: np.stack([hits[measure] for hits in every]) for measure in MEASURES}


def _difference(row: NDArray[np.bool_], other: NDArray[np.bool_]) -> dict[str, Any]:
    difference = paired_difference(row, other)
    return {**asdict(difference), "resolved": difference.resolved}
