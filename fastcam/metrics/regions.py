"""Where the objects of a batch lie, pixel by pixel, and the maps over them: what metrics of points and sums ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from fastcam.arrays import ArrayLike
from fastcam.metrics.arguments import MasksLike, checked_maps, checked_masks, values_error
from fastcam.metrics.ground_truth import GroundTruth
from fastcam.metrics.metric import SumMetric
from fastcam.ops.score_maps import IGNORED
from fastcam.reference.normalization import overflow_scale
from fastcam.reference.score_maps import resized
from fastcam.sizes import checked_size

__all__ = ["RegionMetric", "Regions", "Truth"]

Truth = Literal["boxes", "masks"]
"""What says where objects are."""


@dataclass(frozen=True)
class Regions:
    """A batch of maps with the pixels of their objects.

    Attributes:
        maps: (N, H, W) float64, finite, up to a positive factor; a map that holds a NaN or an infinity is zeros.
        objects: (N, H, W) bool.
        seen: likewise, what is not ignored.
        there: (N,) bool, the images with an object pixel.
    """

    maps: Tensor
    objects: Tensor
    seen: Tensor
    there: Tensor


class RegionMetric(SumMetric):
    """A metric that looks at maps through the pixels of boxes or masks.

    Args:
        truth: ``"boxes"`` or ``"masks"``.
        inclusive: x1 and y1 of boxes are the last pixels inside.
        **kwargs: of ``torchmetrics.Metric``.

    Raises:
        ValueError: another ``truth``.
    """

    without_objects: Tensor

    def __init__(self, truth: Truth, inclusive: bool, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        if truth not in ("boxes", "masks"):
            raise ValueError(f"truth must be 'boxes' or 'masks', got {truth!r}")
        self.truth: Truth = truth
        self.inclusive = bool(inclusive)
        self.record_settings(truth=self.truth, inclusive=self.inclusive)
        self.add_sum("without_objects")

    def regions(
        self,
        maps: ArrayLike,
        boxes: Sequence[Any] | ArrayLike | None,
        masks: MasksLike | None,
        size: tuple[int, int] | None,
    ) -> Regions:
        """Read a batch; what the metric's ``truth`` does not name is left alone.

        Raises:
            TypeError: maps that are not of a floating-point type, boxes or masks that are missing or none.
            ValueError: a wrong shape, an image without boxes, a box that is negative or inverted, another value in a
                mask.
        """
        given = checked_maps(maps)
        height, width = given.shape[1:] if size is None else checked_size(size)
        if self.truth == "masks":
            if masks is None:
                raise TypeError("masks must be (N, H, W), as truth='masks' says, got None")
            kinds = checked_masks(masks, len(given), (height, width)).to(given.device)
            objects, seen = kinds == 1, kinds != IGNORED
            if (seen & (kinds > 1)).any():
                raise values_error(kinds)
        else:
            if boxes is None:
                raise TypeError("boxes must hold one (G, 4) for each image, as truth='boxes' says, got None")
            truth = GroundTruth(boxes, len(given))
            objects = _inside(truth, (height, width), self.inclusive).to(given.device)
            seen = torch.ones_like(objects)
        wide = given.to(torch.float64)
        wide = resized(wide * overflow_scale(wide), (height, width))
        finite = wide.isfinite().all(dim=2).all(dim=1)
        return Regions(torch.where(finite[:, None, None], wide, 0), objects, seen, objects.any(dim=2).any(dim=1))


def _inside(truth: GroundTruth, size: tuple[int, int], inclusive: bool) -> Tensor:
    """The pixels, (N, H, W) bool, whose centres lie in one of their image's boxes, each pixel a square of side 1."""
    inside = torch.zeros(len(truth), *size, dtype=torch.bool)
    end = 1 if inclusive else 0
    start = 0
    for image, stop in zip(inside, truth.ends.tolist(), strict=True):
        for x0, y0, x1, y1 in truth.boxes[start:stop].tolist():
            left, top, right, bottom = (math.ceil(edge - 0.5) for edge in (x0, y0, x1 + end, y1 + end))
            image[top:bottom, left:right] = True
        start = stop
    return inside
