"""Maps brought to [0, 1], as methods compare and combine them: :func:`spread`."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["spread"]


def spread(maps: Tensor) -> Tensor:
    """Bring each map (..., h, w) to [0, 1] by its minimum and maximum; a constant map becomes 0.

    Example:
        >>> spread(torch.tensor([[[1.0, 3.0], [2.0, 1.0]]]))
        tensor([[[0.0000, 1.0000],
                 [0.5000, 0.0000]]])
    """
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / torch.where(high > low, high - low, 1)
