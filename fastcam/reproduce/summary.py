"""A table's numbers: every row's shares, spread, oracle and difference from the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastcam.evaluation.judge import Judge
from fastcam.evaluation.truth import Truth
from fastcam.protocol import Protocol
from fastcam.reproduce.extra import pxap_of
from fastcam.reproduce.judged import THRESHOLDS, RowJudged
from fastcam.reproduce.statistics import paired_difference, pxap_difference, spread_over_seeds
from fastcam.reproduce.table import Row

__all__ = ["MEASURES", "summarize", "summarize_trivial"]

MEASURES = ("top1_cls", "gt_loc", "top1_loc")
"""The numbers of a row: keys of :meth:`fastcam.evaluation.Judged.hits`."""


def summarize(
    rows: Sequence[Row], results: Sequence[Sequence[RowJudged]], centred: NDArray[np.bool_] | None
) -> list[dict[str, Any]]:
    """Sum up the rows of one family.

    Args:
        rows: the baseline first.
        results: of each row, one entry a seed.
        centred: (N,) bool, whether the centred box has found the object; None without boxes.

    Returns:
        For each row a dictionary of ``name``, ``techniques`` and, as fractions, ``top1_cls``, with boxes ``gt_loc`` and
        ``top1_loc``, and what else was judged of ``maxboxaccv2`` and ``pxap``; each with ``mean``, ``std`` and
        ``seeds``, and with ``difference`` (``mean``, ``low``, ``high``, ``resolved``) except for the baseline. With
        boxes ``against_centred`` too, the difference in GT Loc from the centred box, and ``oracle_gt_loc`` and
        ``oracle_threshold``, chosen on the same boxes.
    """
    told = []
    for row, seeds in zip(rows, results, strict=True):
        entry: dict[str, Any] = {"name": row.name, "techniques": dict(row.techniques)}
        baseline = None if row is rows[0] else results[0]
        entry |= _measured(seeds, baseline)
        if centred is not None:
            hits = np.stack([one.judged.hits()["gt_loc"] for one in seeds])
            entry["against_centred"] = paired_difference(hits, centred[None]).to_json()
            best = [np.nanmax(one.curve) for one in seeds]
            entry["oracle_gt_loc"] = {"mean": float(np.mean(best)), "seeds": [float(one) for one in best]}
            entry["oracle_threshold"] = [float(THRESHOLDS[np.nanargmax(one.curve)]) for one in seeds]
        told.append(entry)
    return told


def _measured(seeds: Sequence[RowJudged], baseline: Sequence[RowJudged] | None) -> dict[str, Any]:
    """Every number of a row, with its spread over seeds and its difference from the baseline."""
    told: dict[str, Any] = {}
    own = _of_images(seeds)
    others = None if baseline is None else _of_images(baseline)
    for measure, values in own.items():
        mean, std = spread_over_seeds(values)
        told[measure] = {"mean": mean, "std": std, "seeds": values.mean(axis=1).tolist()}
        if others is not None:
            told[measure]["difference"] = paired_difference(values, others[measure]).to_json()
    if "pxap" in seeds[0].extra:
        counts = [one.extra["pxap"] for one in seeds]
        found = np.array([pxap_of(one.sum(axis=0)) for one in counts])
        std = float(found.std(ddof=1)) if len(found) > 1 else 0.0
        told["pxap"] = {"mean": float(found.mean()), "std": std, "seeds": found.tolist()}
        if baseline is not None:
            told["pxap"]["difference"] = pxap_difference(counts, [one.extra["pxap"] for one in baseline]).to_json()
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


def _of_images(seeds: Sequence[RowJudged]) -> dict[str, NDArray[Any]]:
    """What is a mean over images: for each measure (S, N)."""
    every = [{**one.judged.hits(), **one.extra} for one in seeds]
    return {name: np.stack([one[name] for one in every]) for name in (*MEASURES, "maxboxaccv2") if name in every[0]}
