"""The ground-truth boxes of a batch, and the best IoU of found boxes with those of their own image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastcam.arrays import ArrayLike, as_tensor
from fastcam.boxes import paired_iou

__all__ = ["GroundTruth"]


class GroundTruth:
    """The boxes of a batch: all of them one after the other, and where those of each image end.

    Args:
        boxes: for each image its boxes (G, 4), x0, y0, x1, y1 in pixels, at least one. In one tensor or array
            (N, G, 4) rows of NaN alone are no boxes: they fill up images that have fewer, as
            ``torch.nn.utils.rnn.pad_sequence(boxes, batch_first=True, padding_value=torch.nan)`` does.
        images: how many images there are.

    Attributes:
        boxes: (M, 4) float64, on the CPU.
        ends: (N,) int64, likewise.

    Raises:
        TypeError: boxes that are none.
        ValueError: boxes of another number of images, a wrong shape, an image without boxes, a box that is negative or
            inverted.
    """

    def __init__(self, boxes: Sequence[Any] | ArrayLike, images: int) -> None:
        wanted = f"boxes must hold one (G, 4) for each of the {images} images"
        whole = as_tensor("boxes", boxes, wanted) if isinstance(boxes, Tensor) or hasattr(boxes, "dtype") else None
        try:
            every: list[Any] = list(boxes if whole is None else whole)  # type: ignore[arg-type]
        except TypeError as error:
            raise TypeError(f"{wanted}, got {type(boxes).__name__}: {error}") from error
        if len(every) != images:
            raise ValueError(f"{wanted}, got {len(every)}")
        rows = []
        for i, one in enumerate(every):
            given = as_tensor(f"boxes[{i}]", one, "(G, 4)").detach()
            if whole is not None and given.ndim == 2 and given.is_floating_point():
                given = given[~given.isnan().all(dim=1)]
            if given.ndim != 2 or given.shape[1] != 4 or len(given) == 0:
                raise ValueError(f"boxes[{i}] must be (G, 4) with at least one box, got shape {tuple(given.shape)}")
            if given.is_complex() or given.dtype == torch.bool:
                raise TypeError(f"boxes[{i}] must hold pixels, got {given.dtype}")
            rows.append(given.to("cpu", torch.float64))
        self.boxes = torch.cat(rows) if rows else torch.zeros(0, 4, dtype=torch.float64)
        self.ends = torch.tensor([len(one) for one in rows], dtype=torch.int64).cumsum(0)
        self._refuse_inverted()

    def __len__(self) -> int:
        """How many images."""
        return len(self.ends)

    def best_iou(self, found: Tensor, *, inclusive: bool) -> Tensor:
        """Return for each found box its best IoU with any ground-truth box of its image.

        Args:
            found: (N, T, 4), T boxes an image; or (1, T, 4), the same boxes in every image.
            inclusive: x1 and y1 are the last pixels inside, in found boxes and ground truth alike.

        Returns:
            (N, T) float64, on the CPU.

        Raises:
            ValueError: another number of images.

        Example:
            >>> truth = GroundTruth([[[0, 0, 10, 10]], [[0, 0, 10, 5], [50, 50, 60, 60]]], 2)
            >>> truth.best_iou(torch.tensor([[[0, 0, 10, 10]]]), inclusive=False)
            tensor([[1.0000],
                    [0.5000]], dtype=torch.float64)
        """
        if len(found) not in (1, len(self)):
            raise ValueError(f"found must be ({len(self)}, T, 4) or (1, T, 4), got shape {tuple(found.shape)}")
        images, count = len(self), found.shape[1]
        here = found.detach().to("cpu", torch.float64).expand(images, count, 4)
        # Each ground-truth box beside the T boxes that were found in its image.
        image = self._images()
        overlaps = paired_iou(self.boxes, here[image], inclusive=inclusive)
        best = torch.zeros(images, count, dtype=torch.float64)
        return best.scatter_reduce(0, image[:, None].expand_as(overlaps), overlaps, "amax")

    def largest_areas(self, *, inclusive: bool) -> Tensor:
        """Return the area of each image's largest box, (N,) float64, on the CPU.

        Args:
            inclusive: x1 and y1 are the last pixels inside.

        Example:
            >>> GroundTruth([[[0, 0, 10, 5]], [[0, 0, 2, 2], [1, 1, 4, 4]]], 2).largest_areas(inclusive=False)
            tensor([50.,  9.], dtype=torch.float64)
        """
        sides = self.boxes[:, 2:] - self.boxes[:, :2] + (1 if inclusive else 0)
        largest = torch.zeros(len(self), dtype=torch.float64)
        return largest.scatter_reduce(0, self._images(), sides.prod(dim=1), "amax")

    def _images(self) -> Tensor:
        """Which image each box is of, (M,)."""
        return torch.repeat_interleave(torch.arange(len(self)), self.ends.diff(prepend=self.ends.new_zeros(1)))

    def _refuse_inverted(self) -> None:
        low, high = self.boxes[:, :2], self.boxes[:, 2:]
        bad = ~((low >= 0) & (low <= high) & high.isfinite()).all(dim=1)
        if bad.any():
            row = int(bad.to(torch.uint8).argmax())
            image = int(torch.searchsorted(self.ends, row, right=True))
            raise ValueError(
                f"boxes[{image}] must hold boxes with 0 <= x0 <= x1 and 0 <= y0 <= y1, got {self.boxes[row].tolist()}"
            )
