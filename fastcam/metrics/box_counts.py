"""How many images are right at every threshold: what MaxBoxAcc, its second version and their single numbers count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastcam.arrays import ArrayLike
from fastcam.metrics.arguments import checked_correct, checked_ious, checked_size_limits, checked_thresholds
from fastcam.metrics.metric import SumMetric
from fastcam.metrics.swept import Swept, sweep

__all__ = ["SIZES", "VARIANTS", "BoxCounts", "level_name"]

VARIANTS = ("", "top1_", "top5_")

SIZES = ("small", "medium", "large")


class BoxCounts(SumMetric):
    """Right images at every threshold, by the IoU they are judged at and by what the class had to be.

    Args:
        iou_thresholds: IoUs at which a box is right.
        multi_contour: any outer or hole contour may give the box (V2), not the largest one alone (V1).
        num_thresholds: thresholds are ``np.arange(0, 1, 1 / num_thresholds)``.
        size_limits: count images by the size of their objects as well; see :class:`MaxBoxAcc`.
        **kwargs: of ``torchmetrics.Metric``.

    Raises:
        TypeError: ``iou_thresholds`` or ``size_limits`` that are no numbers.
        ValueError: an IoU threshold outside (0, 1], none, two that are equal; fewer than one threshold; limits that are
            not in order.
    """

    right: Tensor
    images: Tensor
    graded: Tensor
    right_of_size: Tensor
    images_of_size: Tensor
    needs_correct = False

    def __init__(
        self,
        iou_thresholds: Sequence[float],
        multi_contour: bool,
        num_thresholds: int,
        size_limits: Sequence[float] | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.iou_thresholds = checked_ious(iou_thresholds)
        self.multi_contour = bool(multi_contour)
        self.thresholds = checked_thresholds(num_thresholds)
        self.record_settings(
            iou_thresholds=self.iou_thresholds,
            multi_contour=self.multi_contour,
            num_thresholds=int(num_thresholds),
        )
        self.add_sum("right", len(VARIANTS), len(self.iou_thresholds), len(self.thresholds))
        self.add_sum("images")
        self.add_sum("graded")
        # Only where it is asked for: states that were saved without sizes stay loadable.
        self.size_limits = None if size_limits is None else checked_size_limits(size_limits)
        if self.size_limits is not None:
            self.record_settings(size_limits=self.size_limits)
            self.add_sum("right_of_size", len(SIZES), len(self.iou_thresholds), len(self.thresholds))
            self.add_sum("images_of_size", len(SIZES))

    def update(
        self,
        maps: ArrayLike | Swept,
        boxes: Sequence[Any] | ArrayLike | None = None,
        *,
        size: tuple[int, int] | None = None,
        correct: ArrayLike | None = None,
    ) -> None:
        """Count a batch.

        Args:
            maps: score maps (N, h, w), or what :func:`sweep` found for them, which several metrics may share.
            boxes: the ground truth of every image, (G, 4), as :func:`sweep` takes it.
            size: (H, W) of the evaluated maps, where the given ones are raw.
            correct: (N, 2) bool: whether the class was right in the first place, and among the first five. Either
                every batch comes with it or none.

        Raises:
            TypeError: see :func:`sweep`; boxes missing.
            ValueError: see :func:`sweep`; ``correct`` missing where the metric's number needs it, or of another shape
                or type; a ``Swept`` without what is counted.
        """
        if correct is None and self.needs_correct:
            raise ValueError("correct must come with every batch, as the number asks for the class, got None")
        swept = self._swept(maps, boxes, size)
        iou = swept.iou_of_any if self.multi_contour else swept.iou
        if iou is None:
            raise ValueError(f"maps was swept without {'multi_contour' if self.multi_contour else 'largest'}=True")
        groups = [torch.ones(len(swept), dtype=torch.bool, device=iou.device)]
        if correct is not None:
            groups += checked_correct(correct, len(swept)).to(iou.device).unbind(dim=1)
        graded = len(groups)
        groups += self._sizes(swept)
        counts = self._right(swept.maxima, iou, groups).to(self.right.device)
        self.right[:graded] += counts[:graded]
        self.images += len(swept)
        if correct is not None:
            self.graded += len(swept)
        if self.size_limits is not None:
            self.right_of_size += counts[graded:]
            self.images_of_size += torch.stack([group.sum() for group in groups[graded:]]).to(self.images.device)

    def accuracies(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the numbers and the curves by name, NaN before the first image.

        Raises:
            ValueError: some batches came with ``correct`` and others without.
        """
        images, graded = int(self.images), int(self.graded)
        if graded not in (0, images):
            raise ValueError(f"correct must come with every batch or with none, got it for {graded} of {images} images")
        numbers: dict[str, Tensor] = {}
        lines: dict[str, Tensor] = {}
        for variant, prefix in enumerate(VARIANTS if graded else VARIANTS[:1]):
            best = []
            curves = self.right[variant].to(torch.float64) / self.images
            for iou, curve in zip(self.iou_thresholds, curves, strict=True):
                at, name = int(curve.argmax()), level_name(iou)
                best.append(curve[at])
                threshold = float(self.thresholds[at]) if images else float("nan")
                numbers[f"{prefix}max_box_acc_{name}"] = curve[at]
                numbers[f"{prefix}best_threshold_{name}"] = curve.new_tensor(threshold)
                lines[f"{prefix}curve_{name}"] = curve
            numbers[f"{prefix}max_box_acc"] = torch.stack(best).mean()
        return numbers, lines

    def sizes(self) -> dict[str, Tensor]:
        """Return the numbers of each size by name, at the thresholds that are best for all images."""
        numbers: dict[str, Tensor] = {}
        if self.size_limits is None:
            return numbers
        best = self.right[0].argmax(dim=1)
        of_all = torch.where(self.images > 0, self.images_of_size.to(torch.float64), torch.nan)
        for size, right, images, count in zip(SIZES, self.right_of_size, self.images_of_size, of_all, strict=True):
            found = right.gather(1, best[:, None])[:, 0].to(torch.float64) / images
            for iou, accuracy in zip(self.iou_thresholds, found, strict=True):
                numbers[f"max_box_acc_{level_name(iou)}_{size}"] = accuracy
            numbers[f"max_box_acc_{size}"] = found.mean()
            numbers[f"images_{size}"] = count
        return numbers

    def _sizes(self, swept: Swept) -> list[Tensor]:
        """Which images have small, medium and large objects; nothing where that is not asked for."""
        if self.size_limits is None:
            return []
        if swept.largest_shares is None:
            raise ValueError("maps was swept without largest_shares, which size_limits asks for")
        medium, large = (swept.largest_shares >= limit for limit in self.size_limits)
        return [~medium, medium & ~large, large]

    def _right(self, maxima: Tensor, iou: Tensor, groups: list[Tensor]) -> Tensor:
        """Count the right images of each group at every IoU and threshold, (groups, K, T)."""
        limits = torch.tensor(self.iou_thresholds, dtype=torch.float64, device=iou.device)
        hits = iou[:, None] >= limits[:, None]
        counts = self.right.new_zeros((len(groups), *self.right.shape[1:]))
        # Which threshold means which entry depends on the highest level alone.
        for maximum in maxima.unique().tolist():
            these = maxima == maximum
            entry = torch.from_numpy((self.thresholds * maximum).astype(np.int64)).to(iou.device)
            for number, group in enumerate(groups):
                by_entry = hits[these & group].sum(dim=0)
                counts[number] += by_entry[:, entry].to(counts.device)
        return counts

    def _swept(
        self, maps: ArrayLike | Swept, boxes: Sequence[Any] | ArrayLike | None, size: tuple[int, int] | None
    ) -> Swept:
        if isinstance(maps, Swept):
            if boxes is not None or size is not None:
                raise TypeError("maps are swept already, so boxes and size must not be given")
            return maps
        if boxes is None:
            raise TypeError("boxes must hold one (G, 4) for each image, got None")
        return sweep(maps, boxes, size=size, largest=not self.multi_contour, multi_contour=self.multi_contour)


def level_name(iou: float) -> str:
    """How an IoU threshold stands in names: 50 of 0.5."""
    return f"{iou * 100:g}"
