"""How one row does with one trained network: :func:`judge_row`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastcam.evaluation.judge import Judge, Judged, correct_classes
from fastcam.evaluation.truth import Truth
from fastcam.localization import boxes_from_maps
from fastcam.protocol import Protocol
from fastcam.reproduce.observed import Observed

__all__ = ["THRESHOLDS", "RowJudged", "judge_row"]

THRESHOLDS = np.arange(0, 1, 0.01)
"""What the oracle chooses from."""


@dataclass(frozen=True)
class RowJudged:
    """How one row did with one seed.

    Attributes:
        judged: of N images, at the protocol's threshold: whether the box of the true class has an IoU of 0.5 or more,
            and whether the class is right.
        curve: at each of :data:`THRESHOLDS`, the share of images whose box has.
    """

    judged: Judged
    curve: NDArray[np.float64]


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
    curve = [fits(protocol.replace(threshold=float(one))).mean() for one in THRESHOLDS]
    return RowJudged(Judged(fits(protocol), correct), np.array(curve))
