"""Probabilities and thresholds as options of methods: :func:`checked_fraction`."""

from __future__ import annotations

__all__ = ["checked_fraction"]


def checked_fraction(name: str, value: float) -> float:
    """Return an option as a float, or refuse what is no number in [0, 1] by a ValueError that names it.

    Example:
        >>> checked_fraction("drop_rate", 1)
        1.0
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value!r}")
    return float(value)
