"""What the metrics are given: score maps, ground-truth boxes, found boxes, and which images were classified rightly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastcam.boxes import box_iou

__all__ = ["GroundTruth", "checked_correct", "checked_labels", "checked_maps", "outside_error"]


class GroundTruth:
    """The boxes of a batch: all of them one after the other, and where those of each image end.

    Attributes:
        boxes: (M, 4) float64, on the CPU.
        ends: (N,) int64, likewise.
    """

    def __init__(self, boxes: Sequence[Any] | Tensor, images: int) -> None:
        wanted = f"boxes must hold one (G, 4) for each of the {images} images"
        try:
            every = [torch.as_tensor(one) for one in boxes]
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(f"{wanted}, got {type(boxes).__name__}: {error}") from error
        if len(every) != images:
            raise ValueError(f"{wanted}, got {len(every)}")
        for i, one in enumerate(every):
            if one.ndim != 2 or one.shape[1] != 4 or len(one) == 0:
                raise ValueError(f"boxes[{i}] must be (G, 4) with at least one box, got shape {tuple(one.shape)}")
        rows = [one.detach().to("cpu", torch.float64) for one in every]
        self.boxes = torch.cat(rows) if rows else torch.zeros(0, 4, dtype=torch.float64)
        self.ends = torch.tensor([len(one) for one in rows], dtype=torch.int64).cumsum(0)
        self._refuse_inverted()

    def _refuse_inverted(self) -> None:
        low, high = self.boxes[:, :2], self.boxes[:, 2:]
        bad = ~((low >= 0) & (low <= high) & high.isfinite()).all(dim=1)
        if bad.any():
            row = int(bad.to(torch.uint8).argmax())
            image = int(torch.searchsorted(self.ends, row, right=True))
            raise ValueError(
                f"boxes[{image}] must hold boxes with 0 <= x0 <= x1 and 0 <= y0 <= y1, got {self.boxes[row].tolist()}"
            )

    def best_iou(self, found: Tensor, *, inclusive: bool) -> Tensor:
        """For boxes (N, T, 4) the best IoU of each with any box of its image, (N, T) float64 on the CPU."""
        here = found.detach().to("cpu", torch.float64)
        best = torch.zeros(here.shape[:2], dtype=torch.float64)
        begin = 0
        for i, end in enumerate(self.ends.tolist()):
            best[i] = box_iou(here[i], self.boxes[begin:end], inclusive=inclusive).amax(dim=1)
            begin = end
        return best


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
