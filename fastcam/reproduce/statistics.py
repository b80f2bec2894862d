"""What differences mean: spread over seeds, and a paired bootstrap over images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcam.reproduce.extra import pxap_of

__all__ = ["Difference", "in_points", "paired_difference", "pxap_difference", "spread_over_seeds"]


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

    def to_json(self) -> dict[str, float | bool]:
        """Return it as numbers, and whether it is resolved."""
        return {**asdict(self), "resolved": self.resolved}


def in_points(difference: Mapping[str, float]) -> tuple[str, str, str]:
    """Say the mean of a difference, and the ends of its interval, in points.

    Example:
        >>> in_points(Difference(0.015, -0.002, 0.035).to_json())
        ('+1.5', '-0.2', '+3.5')
    """
    mean, low, high = (f"{100 * difference[key]:+.1f}" for key in ("mean", "low", "high"))
    return mean, low, high


def paired_difference(
    row: NDArray[Any], baseline: NDArray[Any], *, resamples: int = 10_000, seed: int = 0
) -> Difference:
    """Compare two rows image by image.

    For each image the difference of its hits is averaged over the seeds; images are then drawn with replacement.

    Args:
        row: (S, N), whether each of N images is a hit with each of S seeds, or which share of one.
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


def pxap_difference(
    row: Sequence[NDArray[np.int32]], baseline: Sequence[NDArray[np.int32]], *, resamples: int = 1000, seed: int = 0
) -> Difference:
    """Compare the PxAP of two rows: images are drawn with replacement, and PxAP is that of the pixels of those drawn.

    Args:
        row: for each seed the counts (N, 2, bins) of N images; see :func:`fastcam.reproduce.extra.pixel_counts`.
        baseline: likewise, of the same images and as many seeds.
        resamples: how often N images are drawn.
        seed: settles the draws.

    Example:
        >>> counts = np.ones((4, 2, 10), np.int32)
        >>> pxap_difference([counts], [counts]).resolved
        False
    """
    images = len(row[0])
    draw = np.random.default_rng(seed)
    found = []
    for part in _parts(resamples, 100):
        # How often each image is drawn, for all the counts at once.
        times = np.stack([np.bincount(draw.integers(images, size=images), minlength=images) for _ in range(part)])
        found.append(_mean_pxap(row, times) - _mean_pxap(baseline, times))
    low, high = np.percentile(np.concatenate(found), [2.5, 97.5]).tolist()
    once = np.ones((1, images), np.int64)
    return Difference(float((_mean_pxap(row, once) - _mean_pxap(baseline, once))[0]), low, high)


def _mean_pxap(seeds: Sequence[NDArray[np.int32]], times: NDArray[np.int64]) -> NDArray[np.float64]:
    """PxAP of each resample (R,), averaged over the seeds."""
    drawn = [times.astype(np.float64) @ counts.reshape(len(counts), -1) for counts in seeds]
    return np.asarray(np.mean([pxap_of(one.reshape(len(times), *seeds[0].shape[1:])) for one in drawn], axis=0))


def spread_over_seeds(hits: NDArray[Any]) -> tuple[float, float]:
    """Return mean and standard deviation (of a sample; 0 for one seed) over S seeds of the hits (S, N)."""
    shares = hits.mean(axis=1)
    return float(shares.mean()), float(shares.std(ddof=1)) if len(shares) > 1 else 0.0


def _parts(total: int, most: int = 1000) -> list[int]:
    return [min(most, total - start) for start in range(0, total, most)]
