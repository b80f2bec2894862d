"""What the metrics are given, checked: score maps, classes, and which images were classified rightly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["checked_correct", "checked_labels", "checked_maps", "outside_error"]


def checked_maps(maps: Tensor | npt.NDArray[np.floating[Any]]) -> Tensor:
    """Score maps (N, h, w) of a floating-point type."""
    given = torch.as_tensor(maps).detach()
    if given.ndim != 3 or 0 in given.shape[1:]:
        raise ValueError(f"maps must be (N, h, w) with at least one pixel, got shape {tuple(given.shape)}")
    if not given.is_floating_point():
        raise TypeError(f"maps must be of a floating-point type, got {given.dtype}")
    return given


def outside_error(inside: Tensor, maps: Tensor) -> ValueError:
    """The error for maps, given as they are evaluated, that leave [0, 1]."""
    i = int((~inside).to(torch.uint8).argmax())
    low, high = float(maps[i].min()), float(maps[i].max())
    return ValueError(
        f"maps must lie in [0, 1], got values from {low:g} to {high:g} in maps[{i}]; give size=(H, W) where maps "
        "are raw, to be resized and normalized"
    )


def checked_correct(correct: Tensor | npt.NDArray[np.bool_], images: int) -> Tensor:
    """Whether the true class is the first, and whether it is among the first five: (N, 2) bool."""
    given = torch.as_tensor(correct).detach()
    if given.dtype != torch.bool or given.shape != (images, 2):
        raise ValueError(
            f"correct must be ({images}, 2) bool, top-1 and top-5, got {given.dtype} of shape {tuple(given.shape)}"
        )
    return given


def checked_labels(labels: Tensor | Sequence[int], images: int) -> Tensor:
    """The true class of each image, (N,) int64."""
    given = torch.as_tensor(labels).detach()
    if given.is_floating_point() or given.dtype == torch.bool or given.shape != (images,):
        raise ValueError(f"labels must be ({images},) whole numbers, got {given.dtype} of shape {tuple(given.shape)}")
    return given.to(torch.int64)
