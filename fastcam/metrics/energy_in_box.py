"""The energy-based pointing game: how much of a map lies on the object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastcam.arrays import ArrayLike
from fastcam.metrics.arguments import MasksLike
from fastcam.metrics.regions import RegionMetric, Regions, Truth
from fastcam.metrics.shares import mean_of_units, units

__all__ = ["EnergyInBox"]


class EnergyInBox(RegionMetric):
    """Energy-based pointing game of Wang et al. (Score-CAM, CVPR Workshops 2020): the share of a map in the boxes.

    ``sum of max(map, 0) over the pixels in any of the boxes / sum of max(map, 0) over all pixels``, a mean over the
    images. Maps are not normalized, for subtracting the minimum would lift everything outside the object. A map without
    a positive value, or one that holds a NaN or an infinity, has nothing in its boxes and counts as 0. Of masks ignored
    pixels are left out of both sums. An image whose truth has no pixel is left out.

    Args:
        truth: ``"boxes"``, or ``"masks"`` for the share of the map on the object itself; the other may come too and is
            left alone.
        inclusive: see :class:`GTKnownLoc`.
        **kwargs: of ``torchmetrics.Metric``.

    ``compute()`` gives a fraction in [0, 1], float64; NaN before the first image, and with a warning where no image had
    an object. An image's share is rounded to 2**-40, and sums are of whole numbers, so that the mean is the same
    however images come in batches, and on every device.

    Raises:
        ValueError: another ``truth``.

    Example:
        >>> import torch
        >>> from fastcam.metrics import EnergyInBox
        >>> metric = EnergyInBox()
        >>> maps = torch.tensor([[[3.0, 1.0], [-5.0, 0.0]]])
        >>> metric.update(maps, [[[0, 0, 1, 2]]])  # the left column: 3 of 4
        >>> metric.compute().item()
        0.75
    """

    energy: Tensor
    images: Tensor

    def __init__(self, *, truth: Truth = "boxes", inclusive: bool = False, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(truth, inclusive, **kwargs)
        self.add_sum("energy")
        self.add_sum("images")

    def update(
        self,
        maps: ArrayLike,
        boxes: Sequence[Any] | ArrayLike | None = None,
        masks: MasksLike | None = None,
        *,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Count a batch.

        Args:
            maps: (N, H, W) of any values; with ``size`` (N, h, w), resized as :func:`sweep` does.
            boxes: with ``truth="boxes"`` the ground truth of every image, (G, 4), as :func:`sweep` takes it; a pixel
                belongs to a box where its centre does.
            masks: with ``truth="masks"`` (N, H, W), as :class:`PxAP` takes them.
            size: (H, W) of the evaluated maps, in whose pixels the truth is.

        Raises:
            TypeError: maps that are not of a floating-point type; boxes or masks missing.
            ValueError: a wrong shape, an image without boxes, a box that is negative or inverted, another value in a
                mask.
        """
        found = self.regions(maps, boxes, masks, size)
        shares = units(_shares(found)[found.there])
        self.energy += shares.sum().to(self.energy.device)
        self.images += len(shares)
        self.without_objects += len(found.maps) - len(shares)

    def compute(self) -> Tensor:
        """Return the mean share."""
        self.warn_of_no_objects(self.images, self.without_objects)
        return mean_of_units(self.energy, self.images)


def _shares(found: Regions) -> Tensor:
    """The share of each map's positive values that lies on objects, (N,) float64; 0 where there are none."""
    positive = torch.where(found.seen, found.maps, 0).clamp(min=0).flatten(1)
    highest = positive.amax(dim=1, keepdim=True)
    # Whole numbers of as many bits as their sum leaves room for: their sums are exact in any order.
    scale = 2.0 ** (62 - positive.shape[1].bit_length())
    whole = (positive / torch.where(highest > 0, highest, 1) * scale).round().to(torch.int64)
    inside, total = torch.where(found.objects.flatten(1), whole, 0).sum(dim=1), whole.sum(dim=1)
    return inside.to(torch.float64) / total.clamp(min=1)
