"""A batch of score maps evaluated at every threshold at once: what the box metrics count, and more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastcam.arrays import ArrayLike
from fastcam.metrics.arguments import checked_maps, outside_error
from fastcam.metrics.ground_truth import GroundTruth
from fastcam.ops.score_maps import score_levels
from fastcam.ops.sweep import sweep_levels
from fastcam.sizes import checked_size

__all__ = ["Swept", "sweep"]

_LONGEST_SIDE: Final = 65_535  # the compiled core keeps a place in sixteen bits


@dataclass(frozen=True)
class Swept:
    """What :func:`sweep` finds for N maps. An entry t of 256 is that of the mask of all levels above t.

    Attributes:
        maxima: (N,) uint8, the highest level of each map: threshold tau means t = ``int(tau * maximum)``.
        iou: (N, 256) float64, the best IoU of the largest contour's box with the ground truth; None if not asked for.
        boxes: (N, 256, 4) int32, the largest contour's box; None likewise.
        iou_of_any: (N, 256) float64, the best IoU of any outer or hole contour's box; None if not asked for.
        largest_shares: (N,) float64, what share of the map's pixels the largest ground-truth box of each image has,
            its x1 and y1 the last pixels inside; None where nothing asks for it.
    """

    maxima: Tensor
    iou: Tensor | None
    boxes: Tensor | None
    iou_of_any: Tensor | None
    largest_shares: Tensor | None = None

    def __len__(self) -> int:
        """How many maps."""
        return len(self.maxima)

    def entries(self, thresholds: npt.NDArray[np.float64]) -> Tensor:
        """Which entry each threshold in [0, 1) means for each map: (N, T) int64."""
        products = thresholds * self.maxima.cpu().numpy()[:, None]
        return torch.from_numpy(products.astype(np.int64)).to(self.maxima.device)


def sweep(
    maps: ArrayLike,
    boxes: Sequence[Any] | ArrayLike,
    *,
    size: tuple[int, int] | None = None,
    largest: bool = True,
    multi_contour: bool = True,
) -> Swept:
    """Evaluate score maps at every threshold by the protocol of wsolevaluation.

    A map becomes levels, ``uint8(255 * map)``, and threshold t keeps the pixels above it. The box of a contour with
    the half-open box x0, y0, x1, y1 is ``x0, y0, min(x1, W - 1), min(y1, H - 1)``, or 0, 0, 0, 0 where nothing is kept;
    IoU takes x1 and y1 as the last pixels inside. All of it as the reference computes it, to the last bit.

    Args:
        maps: (N, h, w) or (N, 1, h, w) in [0, 1], used as given; with ``size``, any values.
        boxes: for each image the ground truth (G, 4), x0, y0, x1, y1 in pixels of the evaluated map, as the metadata
            files of the field hold them once resized.
        size: (H, W): the maps are raw. They are widened to float64, resized as OpenCV's ``INTER_CUBIC``
            does, and normalized by ``(x - min) / max(x - min)``; a map that is constant or not finite becomes zeros.
        largest: evaluate the largest contour (V1).
        multi_contour: evaluate all contours (V2).

    Returns:
        A :class:`Swept`, on the device of the maps.

    Raises:
        TypeError: maps that are not of a floating-point type, or boxes that are none.
        ValueError: a wrong shape, a map that leaves [0, 1] or holds a NaN where no ``size`` is given, an image without
            boxes, a box that is negative or inverted.

    Example:
        >>> import torch
        >>> from fastcam.metrics import sweep
        >>> scores = torch.zeros(1, 8, 8)
        >>> scores[0, 2:6, 1:5] = 1
        >>> swept = sweep(scores, [[[1, 2, 5, 6]]])
        >>> swept.boxes[0, 127].tolist(), swept.iou[0, 127].item()
        ([1, 2, 5, 6], 1.0)
    """
    given = checked_maps(maps)
    height, width = given.shape[1:] if size is None else checked_size(size)
    if max(height, width) > _LONGEST_SIDE:
        raise ValueError(f"maps must have sides of at most {_LONGEST_SIDE} pixels, got {(height, width)}")
    truth = GroundTruth(boxes, len(given))
    levels, inside = score_levels(given, height, width, size is not None)
    if not inside.all():
        raise outside_error(inside, given)
    iou, iou_of_any, found = sweep_levels(levels, truth.boxes, truth.ends, largest, multi_contour)
    maxima = levels.flatten(1).amax(dim=1)
    return Swept(
        maxima,
        iou if largest else None,
        found if largest else None,
        iou_of_any if multi_contour else None,
        (truth.largest_areas(inclusive=True) / (height * width)).to(maxima.device),
    )
