"""The pointing game: whether the highest point of a map lies on the object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from fastcam.arrays import ArrayLike
from fastcam.metrics.arguments import MasksLike, checked_count, checked_labels
from fastcam.metrics.regions import RegionMetric, Regions, Truth

__all__ = ["PointingGame"]


class PointingGame(RegionMetric):
    """Pointing game of Zhang et al. (ECCV 2016; IJCV 126, 2018): the share of maps whose maximum lies on the object.

    A map hits where its highest pixel, the first of equals in raster order, is at most ``tolerance`` pixels from a
    pixel of one of its class's boxes, or of its mask, by Euclidean distance between pixels. Images of several classes
    come once for each class, with the map and the truth of that class.

    A map without a maximum misses: one that is constant, or holds a NaN or an infinity. Ignored pixels of a mask are
    neither pointed at nor hit. An image whose truth has no pixel is left out.

    Args:
        tolerance: in pixels of the evaluated map; 15 as in the paper, whose pictures are some 500 pixels wide; 0: the
            maximum must lie on the object. (TorchRay takes less than the tolerance for a hit, this metric also the
            tolerance itself: 14.99 here is 15 there.)
        truth: ``"boxes"`` or ``"masks"``, whichever a batch comes with; the other may come too and is left alone.
        average: ``"images"``: the share of all maps that hit. ``"classes"``: the mean of the shares of the classes, as
            the paper has it, over those classes that there are.
        num_classes: how many; wanted for ``average="classes"``, and to share counts with it.
        inclusive: see :class:`GTKnownLoc`.
        **kwargs: of ``torchmetrics.Metric``.

    ``compute()`` gives a fraction in [0, 1], float64; NaN before the first image, and with a warning where no image had
    an object.

    Raises:
        ValueError: a ``tolerance`` below 0 or not finite, another ``truth`` or ``average``, ``num_classes`` below 1 or
            missing.

    Example:
        >>> import torch
        >>> from fastcam.metrics import PointingGame
        >>> metric = PointingGame(tolerance=2)
        >>> maps = torch.zeros(2, 20, 20)
        >>> maps[:, 5, 7] = 1
        >>> metric.update(maps, [[[9, 5, 15, 15]], [[10, 5, 15, 15]]])  # 2 and 3 pixels away
        >>> metric.compute().item()
        0.5
    """

    hits: Tensor
    points: Tensor

    def __init__(
        self,
        tolerance: float = 15,
        *,
        truth: Truth = "boxes",
        average: Literal["images", "classes"] = "images",
        num_classes: int | None = None,
        inclusive: bool = False,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(truth, inclusive, **kwargs)
        self.tolerance = float(tolerance)
        if not 0 <= self.tolerance < math.inf:
            raise ValueError(f"tolerance must be at least 0 pixels and finite, got {tolerance!r}")
        if average not in ("images", "classes"):
            raise ValueError(f"average must be 'images' or 'classes', got {average!r}")
        if average == "classes" and num_classes is None:
            raise ValueError("num_classes must be given for average='classes', got None")
        self.average = average
        self.num_classes = None if num_classes is None else checked_count("num_classes", num_classes)
        self.record_settings(tolerance=self.tolerance, num_classes=self.num_classes)
        self.add_sum("hits", self.num_classes or 1)
        self.add_sum("points", self.num_classes or 1)

    def update(
        self,
        maps: ArrayLike,
        boxes: Sequence[Any] | ArrayLike | None = None,
        masks: MasksLike | None = None,
        *,
        size: tuple[int, int] | None = None,
        labels: ArrayLike | None = None,
    ) -> None:
        """Count a batch.

        Args:
            maps: (N, H, W) of any values; with ``size`` (N, h, w), resized as :func:`sweep` does.
            boxes: with ``truth="boxes"`` the ground truth of every map, (G, 4), as :func:`sweep` takes it; a pixel
                belongs to a box where its centre does.
            masks: with ``truth="masks"`` (N, H, W), as :class:`PxAP` takes them.
            size: (H, W) of the evaluated maps, in whose pixels the truth is.
            labels: (N,) classes of the maps; wanted where ``num_classes`` was given.

        Raises:
            TypeError: maps that are not of a floating-point type; boxes, masks or labels missing.
            ValueError: a wrong shape, an image without boxes, a box that is negative or inverted, another value in a
                mask, a label out of range.
        """
        found = self.regions(maps, boxes, masks, size)
        classes = self._classes(labels, len(found.maps))[found.there.cpu()]
        hit = _hits(found, self.tolerance)[found.there].cpu()
        points = torch.bincount(classes, minlength=len(self.points))
        self.points += points.to(self.points.device)
        self.hits += torch.bincount(classes[hit], minlength=len(self.hits)).to(self.hits.device)
        self.without_objects += len(found.maps) - int(points.sum())

    def compute(self) -> Tensor:
        """Return the share of maps that hit."""
        self.warn_of_no_objects(self.points.sum(), self.without_objects)
        if self.average == "images":
            return self.hits.sum().to(torch.float64) / self.points.sum()
        there = self.points > 0
        return (self.hits[there].to(torch.float64) / self.points[there]).mean()

    def _classes(self, labels: ArrayLike | None, images: int) -> Tensor:
        if self.num_classes is None:
            return torch.zeros(images, dtype=torch.int64)
        if labels is None:
            raise TypeError("labels must be (N,) classes, as num_classes was given, got None")
        classes = checked_labels(labels, images).cpu()
        wrong = classes[(classes < 0) | (classes >= self.num_classes)]
        if len(wrong):
            raise ValueError(f"labels must lie in [0, {self.num_classes}), got {int(wrong[0])}")
        return classes


def _hits(found: Regions, tolerance: float) -> Tensor:
    """Whether the maximum of each map lies within the tolerance of an object pixel, (N,) bool."""
    width = found.maps.shape[2]
    low = torch.where(found.seen, found.maps, torch.inf).flatten(1).amin(dim=1)
    seen = torch.where(found.seen, found.maps, -torch.inf).flatten(1)
    # On CUDA argmax may give any of equals.
    highest = seen.amax(dim=1)
    order = torch.arange(seen.shape[1], device=seen.device)
    peak = torch.where(seen == highest[:, None], order, len(order)).amin(dim=1)
    y, x = order // width, order % width
    distances = (y - (peak // width)[:, None]) ** 2 + (x - (peak % width)[:, None]) ** 2
    near = (distances <= tolerance**2) & found.objects.flatten(1)
    return near.any(dim=1) & (highest > low)
