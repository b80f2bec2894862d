"""The numbers of an evaluation: each with how its threshold was chosen, so that none passes for another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastcam.evaluation.at_threshold import mask_iou
from fastcam.evaluation.judge import Judged
from fastcam.evaluation.score_pass import Pass
from fastcam.metrics import MaxBoxAcc

__all__ = [
    "ORACLE",
    "Chosen",
    "Number",
    "Numbers",
    "beside_judged",
    "chosen_thresholds",
    "headline",
    "headline_title",
    "of_box",
    "of_judged",
    "of_metric",
    "of_pass",
    "title",
]

ORACLE = "oracle"
"""How a threshold was chosen that is the best on the very images that are counted."""


@dataclass(frozen=True)
class Number:
    """A share of images, or of pixels.

    Attributes:
        value: in [0, 1].
        threshold: of the score maps, where there is one.
        chosen_on: :data:`ORACLE`, or the split that the threshold was chosen on, or ``"fixed"`` for a protocol's; None
            where there is none to choose.
    """

    value: float
    threshold: float | None = None
    chosen_on: str | None = None


Numbers = Mapping[str, Number]
"""Numbers by their keys; :func:`title` says in words what a key means."""

_TITLES = {
    "top1_cls": "Top-1 Cls",
    "top5_cls": "Top-5 Cls",
    "gt_loc": "GT-Loc, IoU 0.5",
    "loc": "Loc, IoU 0.5 (map of the predicted class)",
    "top1_loc": "Top-1 Loc, IoU 0.5",
    "top5_loc": "Top-5 Loc, IoU 0.5",
    "pxap": "PxAP",
    "peak_iou": "peak mask IoU",
    "mask_iou": "mask IoU",
}

_CLASSES = ("top1_cls", "top5_cls")

_FAMILIES = {
    "max_box_acc_v2": "MaxBoxAccV2",
    "max_box_acc": "MaxBoxAcc",
    "box_acc_v2": "BoxAccV2",
    "box_acc": "BoxAcc",
}

_VARIANTS = {"top1_": ", class in top 1", "top5_": ", class in top 5", "": ""}


def title(key: str) -> str:
    """Say in words what a key means.

    Example:
        >>> title("max_box_acc_50"), title("top1_max_box_acc_v2"), title("gt_loc")
        ('MaxBoxAcc, IoU 0.5', 'MaxBoxAccV2, mean, class in top 1', 'GT-Loc, IoU 0.5')
    """
    if key in _TITLES:
        return _TITLES[key]
    prefix, suffix = next((prefix, suffix) for prefix, suffix in _VARIANTS.items() if key.startswith(prefix))
    family, name = next((family, name) for family, name in _FAMILIES.items() if key[len(prefix) :].startswith(family))
    level = key[len(prefix) + len(family) + 1 :]
    return f"{name}, {f'IoU {float(level) / 100:g}' if level and level != 'mean' else 'mean'}{suffix}"


@dataclass(frozen=True)
class Chosen:
    """Thresholds that another split chose.

    Attributes:
        split: its name.
        largest: for each IoU threshold the index of the best threshold of V1.
        any: likewise of V2.
        pixels: the threshold of the peak mask IoU; None without masks.
    """

    split: str
    largest: Sequence[int]
    any: Sequence[int]
    pixels: float | None


def chosen_thresholds(done: Pass, split: str) -> Chosen:
    """Read from a pass over another split which thresholds are its best."""

    def best(metric: MaxBoxAcc | None) -> list[int]:
        return [] if metric is None else metric.right[0].argmax(dim=1).tolist()

    return Chosen(split, best(done.largest), best(done.any), _peak(done)[1] if done.pixels is not None else None)


def of_pass(done: Pass, chosen: Chosen | None = None) -> dict[str, Number]:
    """Collect the numbers of a pass, with the oracle's thresholds and, where given, with another split's."""
    found: dict[str, Number] = {}
    for family, metric, indices in (
        ("box_acc", done.largest, chosen.largest if chosen else None),
        ("box_acc_v2", done.any, chosen.any if chosen else None),
    ):
        if metric is not None:
            found |= of_metric(metric, f"max_{family}")
            if indices is not None and chosen is not None:
                found |= _at(metric, family, indices, chosen.split)
    if done.pixels is not None:
        found["pxap"] = Number(float(done.pixels.compute()["pxap"]))
        found["peak_iou"] = Number(*_peak(done), ORACLE)
        if chosen is not None and chosen.pixels is not None:
            found["mask_iou"] = Number(mask_iou(done.pixels, chosen.pixels), chosen.pixels, chosen.split)
    return found


def headline(done: Pass, *, multi_contour: bool = False, mean: bool = False) -> float:
    """Return what wsolevaluation's script prints last, in percent, in its own order of operations.

    Args:
        done: the pass.
        multi_contour: of any contour (V2), not of the largest.
        mean: over the IoU thresholds, not at 0.5; also where 0.5 is none of them.

    Returns:
        With boxes MaxBoxAcc; else PxAP.
    """
    if done.largest is None or done.any is None:
        assert done.pixels is not None
        return float(done.pixels.compute()["pxap"]) * 100
    metric = done.any if multi_contour else done.largest
    counts = metric.right[0].numpy()
    best = [float((row * 100.0 / float(metric.images)).max()) for row in counts]
    if mean or 0.5 not in metric.iou_thresholds:
        return float(np.average(best))
    return best[metric.iou_thresholds.index(0.5)]


def headline_title(done: Pass, *, multi_contour: bool = False, mean: bool = False) -> str:
    """Say in words what :func:`headline` returns for the same arguments."""
    if done.largest is None:
        return title("pxap")
    family = "max_box_acc_v2" if multi_contour else "max_box_acc"
    at_half = not mean and 0.5 in done.largest.iou_thresholds
    return f"{title(f'{family}_50' if at_half else _mean_key('', family))}, at the oracle threshold"


def of_metric(metric: MaxBoxAcc, family: str) -> dict[str, Number]:
    """Collect the numbers of a MaxBoxAcc metric; ``family`` is the first part of their keys."""
    values = metric.compute()
    found: dict[str, Number] = {}
    for prefix in ("", "top1_", "top5_"):
        if f"{prefix}max_box_acc" not in values:
            continue
        for name in map(_level, metric.iou_thresholds):
            threshold = float(values[f"{prefix}best_threshold_{name}"])
            found[f"{prefix}{family}_{name}"] = Number(float(values[f"{prefix}max_box_acc_{name}"]), threshold, ORACLE)
        found[_mean_key(prefix, family)] = Number(float(values[f"{prefix}max_box_acc"]), None, ORACLE)
    return found


def of_box(ious: NDArray[np.float64], levels: Sequence[float]) -> dict[str, Number]:
    """Numbers of one box for all images, which has no threshold: V1 and V2 agree.

    Args:
        ious: (n,) best IoU of the box with each image's ground truth.
        levels: IoUs at which a box is right.
    """
    found: dict[str, Number] = {}
    for family in ("max_box_acc", "max_box_acc_v2"):
        rates = {_level(level): float((ious >= level).mean()) for level in levels}
        found |= {f"{family}_{name}": Number(rate) for name, rate in rates.items()}
        found[_mean_key("", family)] = Number(float(np.mean(list(rates.values()))))
    return found


def of_judged(judged: Judged, chosen_on: str | None = None) -> dict[str, Number]:
    """Collect Cls, GT-Loc and Top-k Loc; ``chosen_on`` says how the boxes' threshold was chosen."""
    return {
        key: Number(float(hits.mean()), None, None if key in _CLASSES else chosen_on)
        for key, hits in judged.hits().items()
    }


def beside_judged(judged: Judged) -> dict[str, Number]:
    """Collect GT-Loc and Top-k Loc of one box for all images, which has no threshold and classifies nothing."""
    return {key: number for key, number in of_judged(judged).items() if key not in _CLASSES}


def _at(metric: MaxBoxAcc, family: str, indices: Sequence[int], split: str) -> dict[str, Number]:
    """Accuracies at given thresholds, one an IoU threshold."""
    rates = metric.right[0].double() / metric.images
    found = {
        f"{family}_{_level(level)}": Number(float(curve[at]), float(metric.thresholds[at]), split)
        for level, curve, at in zip(metric.iou_thresholds, rates, indices, strict=True)
    }
    mean = float(np.mean([number.value for number in found.values()]))
    return {**found, _mean_key("", family): Number(mean, None, split)}


def _peak(done: Pass) -> tuple[float, float]:
    """The peak mask IoU and its threshold."""
    assert done.pixels is not None
    edges = np.append(done.pixels.thresholds, [1.0, 2.0])
    # Of equal IoUs the lowest threshold, as for boxes.
    ious = done.pixels.ious()
    at = int(ious.argmax())
    return float(ious[at]), float(edges[at])


def _level(iou: float) -> str:
    return f"{iou * 100:g}"


def _mean_key(prefix: str, family: str) -> str:
    # MaxBoxAccV2 is a mean by definition; that of V1 is none of the field's numbers.
    return f"{prefix}{family}" if family.endswith("v2") else f"{prefix}{family}_mean"
