"""The ablation's numbers: every row's shares, spread, oracle and difference from the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastcam.ablation.features import Truth
from fastcam.ablation.rows import FAMILIES, ROWS, THRESHOLDS, Judged, Row, found_by
from fastcam.ablation.statistics import paired_difference, spread_over_seeds

__all__ = ["summarize", "summarize_trivial"]


def summarize(judged: Mapping[Row, Sequence[Judged]], centred: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
    """Sum up the rows of one family.

    Args:
        judged: of each of :data:`ROWS`, one entry a seed.
        centred: (N,) bool, whether the centred box has found the object.

    Returns:
        For each row a dictionary of ``techniques`` and, as fractions, ``top1_cls``, ``gt_loc`` and ``top1_loc``, each
        with ``mean``, ``std`` and ``seeds``, and with ``difference`` (``mean``, ``low``, ``high``, ``resolved``)
        except for the baseline; ``against_centred``, the difference in GT Loc from the centred box; ``oracle_gt_loc``
        and ``oracle_threshold``, chosen on the same boxes.
    """
    baseline = _measures(judged[ROWS[0]])
    rows = []
    for row in ROWS:
        entry: dict[str, Any] = {"name": row.name, "techniques": asdict(row)}
        for measure, hits in _measures(judged[row]).items():
            mean, std = spread_over_seeds(hits)
            entry[measure] = {"mean": mean, "std": std, "seeds": hits.mean(axis=1).tolist()}
            if row != ROWS[0]:
                difference = paired_difference(hits, baseline[measure])
                entry[measure]["difference"] = {**asdict(difference), "resolved": difference.resolved}
        against = paired_difference(np.stack([one.found for one in judged[row]]), centred[None])
        entry["against_centred"] = {**asdict(against), "resolved": against.resolved}
        best = [one.curve.max() for one in judged[row]]
        entry["oracle_gt_loc"] = {"mean": float(np.mean(best)), "seeds": [float(one) for one in best]}
        entry["oracle_threshold"] = [float(THRESHOLDS[one.curve.argmax()]) for one in judged[row]]
        rows.append(entry)
    return rows


def summarize_trivial(
    boxes: Mapping[str, Mapping[str, Tensor]], truth: Truth, correct: np.ndarray[Any, Any]
) -> dict[str, Any]:
    """Judge boxes that are the same in every image, under every family.

    Args:
        boxes: (1, 4) by family and name.
        truth: of the N images.
        correct: (S, N) bool, whether the baseline's classifier is right, for Top-1 Loc.

    Returns:
        By name and family, the ``box``, and as fractions ``gt_loc`` and ``top1_loc``.
    """
    judged: dict[str, Any] = {}
    for family, named in boxes.items():
        for name, box in named.items():
            found = found_by(box, truth, inclusive=FAMILIES[family].inclusive)
            judged.setdefault(name, {})[family] = {
                "box": torch.round(box[0], decimals=2).tolist(),
                "gt_loc": float(found.mean()),
                "top1_loc": float((found & correct).mean()),
            }
    return judged


def _measures(judged: Sequence[Judged]) -> dict[str, np.ndarray[Any, Any]]:
    found = np.stack([one.found for one in judged])
    correct = np.stack([one.correct for one in judged])
    return {"top1_cls": correct, "gt_loc": found, "top1_loc": found & correct}
