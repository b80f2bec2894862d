"""The mask of each box: the component that it is the box of."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fastcam.reference.components import label

__all__ = ["own_masks"]


def own_masks(mask: Tensor, boxes: Tensor, connectivity: int) -> Tensor:
    """Return, for each box of components of a mask, its component alone.

    Two components never have the same box: one of them would lead from the left to the right of it and the other from
    its top to its bottom, and such paths meet. Boxes whose ends are clipped to the last pixel may coincide; then they
    belong to the components in raster order.

    Args:
        mask: (H, W) bool, or (M, H, W), one for each box.
        boxes: (M, 4), x0, y0, x1, y1, half-open or clipped (``box_end``).
        connectivity: of the components, 8 or 4.

    Returns:
        (M, H, W) bool on the mask's device; empty where no component has the box.

    Example:
        >>> mask = torch.tensor([[True, False, True, True]])
        >>> own_masks(mask, torch.tensor([[2.0, 0, 4, 1], [0.0, 0, 1, 1]]), 8).int().tolist()
        [[[0, 0, 1, 1]], [[1, 0, 0, 0]]]
    """
    if mask.ndim == 3:
        each = [own_masks(one, box[None], connectivity) for one, box in zip(mask, boxes, strict=True)]
        return torch.cat(each) if each else mask.clone()
    labels, count = label(mask.detach().cpu().numpy(), connectivity)
    height, width = labels.shape
    ys, xs = np.nonzero(labels)
    numbers = labels[ys, xs] - 1
    spans = np.empty((count, 4), np.int64)
    spans[:, :2], spans[:, 2:] = max(height, width), 0
    for column, places in enumerate((xs, ys)):
        np.minimum.at(spans[:, column], numbers, places)
        np.maximum.at(spans[:, column + 2], numbers, places + 1)
    clipped = np.minimum(spans, [width, height, width - 1, height - 1])
    found = np.zeros((len(boxes), height, width), bool)
    free = np.ones(count, bool)
    for own, box in zip(found, boxes.detach().cpu().numpy(), strict=True):
        exact = free & (spans == box).all(axis=1)
        candidates = np.flatnonzero(exact if exact.any() else free & (clipped == box).all(axis=1))
        if len(candidates):
            own[:] = labels == candidates[0] + 1
            free[candidates[0]] = False
    return torch.from_numpy(found).to(mask.device)
