"""How one row does with one trained network: :func:`judge_row`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcam.data import Split
from fastcam.evaluation.judge import Judge, Judged, correct_classes
from fastcam.evaluation.truth import Truth
from fastcam.inputs import Inputs
from fastcam.localization import boxes_from_maps
from fastcam.protocol import Protocol
from fastcam.reproduce.extra import EXTRA, box_acc_v2, pixel_counts
from fastcam.reproduce.kept import Kept, images_of
from fastcam.reproduce.observed import Observed

__all__ = ["THRESHOLDS", "RowJudged", "best_by_steps", "judge_row", "kept_or_judged"]

THRESHOLDS = np.arange(0, 1, 0.01)
"""What the oracle chooses from."""

_MANY_IMAGES = 2000
_COARSE = 5


@dataclass(frozen=True)
class RowJudged:
    """How one row did with one seed.

    Attributes:
        judged: of N images, at the protocol's threshold: whether the box of the true class has an IoU of 0.5 or more,
            and whether the class is right.
        curve: at each of :data:`THRESHOLDS`, the share of images whose box has; NaN where it was not looked at.
            Empty without boxes.
        extra: of each image, what numbers of :data:`fastcam.reproduce.extra.EXTRA` are read from.
    """

    judged: Judged
    curve: NDArray[np.float64]
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def best_by_steps(share: Callable[[float], float], images: int) -> NDArray[np.float64]:
    """Look for the best of :data:`THRESHOLDS`: at all of them, of more than 2,000 images at every fifth first.

    Then those between the best one's neighbours follow.

    Args:
        share: of images that count, at a threshold.
        images: how many there are.

    Returns:
        The shares, NaN at what was not looked at.

    Example:
        >>> shares = best_by_steps(lambda threshold: 1 - abs(threshold - 0.33), images=10_000)
        >>> round(float(THRESHOLDS[np.nanargmax(shares)]), 2), int(np.isfinite(shares).sum())
        (0.33, 28)
    """
    curve = np.full(len(THRESHOLDS), np.nan)

    def look(numbers: Iterable[int]) -> None:
        for number in numbers:
            curve[number] = share(float(THRESHOLDS[number]))

    if images <= _MANY_IMAGES:
        look(range(len(THRESHOLDS)))
        return curve
    look(range(0, len(THRESHOLDS), _COARSE))
    best = int(np.nanargmax(curve))
    near = range(max(best - _COARSE + 1, 0), min(best + _COARSE, len(THRESHOLDS)))
    look(number for number in near if number != best)
    return curve


def judge_row(observed: Observed, protocol: Protocol, truth: Truth, size: tuple[int, int]) -> RowJudged:
    """Judge a network's maps under a protocol.

    Args:
        observed: of N images.
        protocol: how a map becomes a box, and how that is compared.
        truth: of the images, in evaluated pixels.
        size: (H, W) of those.
    """
    judge, maps = Judge(truth, protocol), observed.maps[protocol.clamp_negative]

    def fits(used: Protocol) -> NDArray[np.bool_]:
        return judge.fits(boxes_from_maps(maps, size=size, protocol=used.of_largest()).boxes)

    correct = correct_classes(observed.logits, truth.labels[:, None].tolist())
    curve = best_by_steps(lambda one: float(fits(protocol.replace(threshold=one)).mean()), len(truth))
    return RowJudged(Judged(fits(protocol), correct), curve)


def kept_or_judged(
    observed: Observed,
    protocol: Protocol,
    truth: Truth | None,
    split: Split,
    inputs: Inputs,
    extra: Sequence[str],
    kept: Kept,
) -> RowJudged:
    """Judge a network's maps under a protocol, if that was not done before.

    Args:
        observed: of N images.
        protocol: how a map becomes a box, and how that is compared.
        truth: of the images, in evaluated pixels; None: there are no boxes.
        split: the images, with masks if ``extra`` has ``pxap``.
        inputs: whose size is evaluated.
        extra: of :data:`fastcam.reproduce.extra.EXTRA`.
        kept: by the maps, the logits, the truth and the protocol.
    """
    maps = observed.maps[protocol.clamp_negative]

    def judged() -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        if truth is None:
            found["correct"] = torch.from_numpy(correct_classes(observed.logits, [[one.label] for one in split]))
        else:
            one = judge_row(observed, protocol, truth, inputs.size)
            assert one.judged.fits is not None
            assert one.judged.correct is not None
            found |= {"fits": torch.from_numpy(one.judged.fits), "correct": torch.from_numpy(one.judged.correct)}
            found["curve"] = torch.from_numpy(one.curve)
            if "maxboxaccv2" in extra:
                found["maxboxaccv2"] = torch.from_numpy(box_acc_v2(maps, truth, inputs.size))
        if "pxap" in extra:
            found["pxap"] = torch.from_numpy(pixel_counts(maps, split, inputs, protocol))
        return found

    # Of equal maps and logits everything is equal.
    told = hashlib.sha256(f"{protocol} {inputs.size} {images_of(split)} {sorted(extra)}".encode())
    for part in (maps, observed.logits):
        told.update(np.ascontiguousarray(part.numpy()).tobytes())
    for boxes in truth or ():
        told.update(b"-" if boxes is None else boxes.tobytes())
    found = {name: part.numpy() for name, part in kept.tensors(told.hexdigest()[:32], judged).items()}
    rest = {name: found[name] for name in EXTRA if name in found}
    return RowJudged(Judged(found.get("fits"), found["correct"]), found.get("curve", np.zeros(0)), rest)
