"""How two quantities go together, and how sure that is: :class:`Correlation`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Correlation", "correlation"]


@dataclass(frozen=True)
class Correlation:
    """Pearson's coefficient and the 95% interval in which it lies.

    Attributes:
        value: None where one of the quantities does not vary.
        low: 2.5th percentile of the bootstrap; None likewise.
        high: 97.5th.
        points: how many pairs there are.
    """

    value: float | None
    low: float | None
    high: float | None
    points: int

    @property
    def sign(self) -> int:
        """1 or -1 where the interval leaves 0 out, else 0."""
        return (self.low is not None and self.low > 0) - (self.high is not None and self.high < 0)

    def __str__(self) -> str:
        """Say the coefficient and its interval."""
        if self.value is None:
            return "none, as one of them does not vary"
        interval = "" if self.low is None else f" ({self.low:+.2f} to {self.high:+.2f})"
        return f"{self.value:+.2f}{interval}"

    def to_json(self) -> dict[str, Any]:
        """Return it as numbers."""
        return asdict(self)


def correlation(
    x: NDArray[Any], y: NDArray[Any], groups: NDArray[np.int64] | None = None, *, resamples: int = 1000, seed: int = 0
) -> Correlation:
    """Correlate two quantities; for the interval, groups of pairs are drawn with replacement.

    Args:
        x: (P,).
        y: (P,).
        groups: (P,), which pairs belong together and are drawn together; None: each pair is alone.
        resamples: how often the groups are drawn.
        seed: settles the draws.

    Example:
        >>> one = np.arange(100.0)
        >>> correlation(one, -one).sign
        -1
    """
    x, y = (np.asarray(one, np.float64) - np.mean(one) if len(one) else np.zeros(0) for one in (x, y))
    _, numbers = np.unique(np.arange(len(x)) if groups is None else groups, return_inverse=True)
    # Each group's share in the sums that the coefficient is made of: a resample adds up those of its groups.
    parts = np.stack([np.bincount(numbers, one) for one in (np.ones_like(x), x, y, x * x, y * y, x * y)], axis=1)
    value = _coefficient(parts.sum(axis=0, keepdims=True))[0]
    count = len(parts)
    draw = np.random.default_rng(seed)
    found = np.array(
        [
            _coefficient(np.bincount(draw.integers(count, size=count), minlength=count)[None].astype(float) @ parts)[0]
            for _ in range(resamples if np.isfinite(value) else 0)
        ]
    )
    known = found[np.isfinite(found)]
    if not np.isfinite(value):
        return Correlation(None, None, None, len(x))
    low, high = np.percentile(known, [2.5, 97.5]).tolist() if len(known) else (None, None)
    return Correlation(float(value), low, high, len(x))


def _coefficient(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's coefficient from counts and sums (R, 6) of 1, x, y, x*x, y*y and x*y; NaN where x or y is constant."""
    count, x, y, xx, yy, xy = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        across, variances = (
            xy / count - x * y / count**2,
            (xx / count - (x / count) ** 2) * (yy / count - (y / count) ** 2),
        )
        # What rounding leaves of a constant's variance is none.
        constant = variances <= 1e-24 * (xx / count) * (yy / count)
        return np.where(constant, np.nan, across / np.sqrt(np.where(constant, 1, variances))).clip(-1, 1)
