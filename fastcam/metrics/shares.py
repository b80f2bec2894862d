"""Shares of images as whole numbers, whose sums are exact: equal however images come in batches and processes."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

__all__ = ["mean_of_units", "units"]

# A share is right to 5e-13, and eight million of them fit an int64.
_UNIT: Final = 2**40


def units(shares: Tensor) -> Tensor:
    """Shares in [0, 1] as the nearest multiples of 2**-40, int64.

    Example:
        >>> units(torch.tensor([0.25, 1], dtype=torch.float64)).tolist() == [2**38, 2**40]
        True
    """
    return (shares.to(torch.float64) * _UNIT).round().to(torch.int64)


def mean_of_units(total: Tensor, count: Tensor) -> Tensor:
    """The mean share, float64, of a sum of :func:`units`; NaN of none.

    Example:
        >>> mean_of_units(units(torch.tensor([0.25, 1.0])).sum(), torch.tensor(2)).item()
        0.625
    """
    return total.to(torch.float64) / _UNIT / count
