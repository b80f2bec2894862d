"""Otsu's threshold of levels, as OpenCV computes it: the level that parts a map into its two most different classes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["LEVELS", "otsu"]

LEVELS: Final = 256
_EPSILON: Final = float(np.finfo(np.float32).eps)


def otsu(counts: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    r"""Return the threshold t of each histogram (N, 256): levels above it are one class, the others the other.

    Of all levels, t has the largest variance between the classes, :math:`q_1 q_2 (\mu_1 - \mu_2)^2`, with the shares
    q of the classes and their means (Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9(1), 1979, Eq. 14); of
    several such levels it is the lowest, and 0 where there is but one class. The order of operations, and so the ties,
    are those of ``cv2.threshold`` with ``cv2.THRESH_OTSU``; where that calls Intel's IPP, of two levels with equal
    variances it may take the other.
    """
    scale = 1 / counts.sum(axis=1, dtype=np.float64)
    mean = (counts * np.arange(LEVELS, dtype=np.float64)).sum(axis=1) * scale
    share, below = np.zeros(len(counts)), np.zeros(len(counts))  # of the lower class, and its mean
    best, found = np.zeros(len(counts)), np.zeros(len(counts), np.int64)
    for level in range(LEVELS):
        part = counts[:, level] * scale
        below *= share
        share += part
        others = 1 - share
        two = (np.minimum(share, others) >= _EPSILON) & (np.maximum(share, others) <= 1 - _EPSILON)
        below[two] = (below[two] + level * part[two]) / share[two]
        above = (mean - share * below) / np.where(two, others, 1)
        variance = share * others * (below - above) * (below - above)
        better = two & (variance > best)
        best[better], found[better] = variance[better], level
    return found
