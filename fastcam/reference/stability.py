"""The most stable threshold of levels: where the largest component changes least, as in MSER."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fastcam.reference.components import labelled_components

__all__ = ["STEP", "stable"]

STEP: Final = 5
"""How many levels lie between the thresholds that are compared, as in VLFeat and OpenCV."""

_SMALLEST, _LARGEST = Fraction(1, 1000), Fraction(3, 4)


def stable(levels: npt.NDArray[np.uint8]) -> int:
    r"""Return the threshold t of levels (H, W) at which the largest component is most stable; 0 where all are 0.

    With Q(t) the largest 8-connected component of the levels above t, t has the smallest variation
    :math:`q(t) = (|Q(t - 5)| - |Q(t)|) / |Q(t)|`, where Q(t - 5) is the component at t - 5 that contains Q(t), and the
    whole map where t < 5. It is the criterion of maximally stable extremal regions (Matas et al., BMVC 2002, section
    2), in the one-sided form of VLFeat's ``vl_mser`` and of OpenCV: what contains a component is one component, and
    what it contains may be several.

    Of equal variations the lowest threshold is taken; of several largest components at a threshold, the one of the
    smallest variation. As isolated pixels are the most stable components of all, and next to them what is nearly the
    whole map, components of less than a thousandth or more than three quarters of the map count only where there are no
    others.
    """
    best: tuple[Any, ...] = (True, np.inf, 0)
    labels: list[npt.NDArray[np.int64]] = []
    for threshold in range(int(levels.max(initial=0))):
        changed = threshold == 0 or (levels == threshold).any()
        labels.append(labelled_components(levels > threshold)[1] if changed else labels[-1])
        areas = np.bincount(labels[-1].ravel())[1:]
        for number in np.flatnonzero(areas == areas.max()) + 1:
            own, around = int(areas[number - 1]), levels.size
            if threshold >= STEP:
                below = labels[threshold - STEP]
                around = int((below == below[labels[-1] == number][0]).sum())
            out_of_bounds = not _SMALLEST * levels.size <= own <= _LARGEST * levels.size
            best = min(best, (out_of_bounds, (around - own) / own, threshold))
    return int(best[2])
