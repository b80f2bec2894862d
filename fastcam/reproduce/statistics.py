"""What differences mean: spread over seeds, and a paired bootstrap over images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Difference", "paired_difference", "spread_over_seeds"]


@dataclass(frozen=True)
class Difference:
    """A row's share of hits minus the baseline's, and the 95% interval in which it lies.

    Attributes:
        mean: over images and seeds.
        low: 2.5th percentile of the bootstrap.
        high: 97.5th.
    """

    mean: float
    low: float
    high: float

    @property
    def resolved(self) -> bool:
        """Whether the images tell it from nothing: the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


def paired_difference(
    row: NDArray[np.bool_], baseline: NDArray[np.bool_], *, resamples: int = 10_000, seed: int = 0
) -> Difference:
    """Compare two rows image by image.

    For each image the difference of its hits is averaged over the seeds; images are then drawn with replacement.

    Args:
        row: (S, N), whether each of N images is a hit with each of S seeds.
        baseline: (S, N), on the same images and seeds.
        resamples: how often N images are drawn.
        seed: settles the draws.

    Example:
        >>> both = np.zeros((1, 100), bool)
        >>> paired_difference(both, both).resolved
        False
    """
    each = row.mean(axis=0) - baseline.mean(axis=0)
    draw = np.random.default_rng(seed)
    means = np.concatenate(
        [each[draw.integers(len(each), size=(part, len(each)))].mean(axis=1) for part in _parts(resamples)]
    )
    low, high = np.percentile(means, [2.5, 97.5]).tolist()
    return Difference(float(each.mean()), low, high)


def spread_over_seeds(hits: NDArray[np.bool_]) -> tuple[float, float]:
    """Return mean and standard deviation (of a sample; 0 for one seed) over S seeds of the hits (S, N)."""
    shares = hits.mean(axis=1)
    return float(shares.mean()), float(shares.std(ddof=1)) if len(shares) > 1 else 0.0


def _parts(total: int, most: int = 1000) -> list[int]:
    return [min(most, total - start) for start in range(0, total, most)]
