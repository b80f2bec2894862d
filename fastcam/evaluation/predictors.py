"""What needs no network: the whole image, a centred box, the mean training box, a centred Gaussian."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcam.boxes import box_iou
from fastcam.evaluation.settings import Settings
from fastcam.metrics import MaxBoxAcc, Swept, sweep

__all__ = ["best_ious", "centred_box", "clipped", "gaussian", "mean_box", "sweep_gaussian", "whole_image"]

Truth = Sequence[NDArray[np.int64] | None]


def whole_image(size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the box of all (H, W) pixels, half-open."""
    return np.array([0.0, 0.0, size[1], size[0]])


def centred_box(size: tuple[int, int], side: float = 0.7) -> NDArray[np.float64]:
    """Return the box around the centre whose sides are this share of the image's, half-open.

    Example:
        >>> centred_box((100, 200)).round(6).tolist()
        [30.0, 15.0, 170.0, 85.0]
    """
    height, width = size
    margin = (1 - side) / 2
    return np.array([margin * width, margin * height, (1 - margin) * width, (1 - margin) * height])


def clipped(box: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return a half-open box as wsolevaluation has those of contours: an end outside is the image's last pixel."""
    return np.asarray(np.minimum(box, np.array([size[1] - 1, size[0] - 1] * 2)))


def mean_box(truth: Truth) -> NDArray[np.float64] | None:
    """Return the mean of all boxes, corner by corner; None where there are none. It uses boxes."""
    every = [boxes for boxes in truth if boxes is not None and len(boxes)]
    return np.concatenate(every).mean(axis=0) if every else None


def gaussian(size: tuple[int, int]) -> NDArray[np.float64]:
    """Return a score map (H, W) in [0, 1] that falls off from the centre, with a deviation of a quarter of each side.

    The deviation hardly matters: what is counted depends on the order of the scores alone.
    """
    rows, columns = (np.exp(-8 * ((np.arange(length) + 0.5) / length - 0.5) ** 2) for length in size)
    heat = rows[:, None] * columns
    return np.asarray((heat - heat.min()) / (heat.max() - heat.min()))


def best_ious(
    box: NDArray[np.float64], truth: Truth, used: NDArray[np.bool_], *, inclusive: bool = True
) -> NDArray[np.float64]:
    """Return the best IoU of one box with the boxes of each used image, (n,)."""
    return _best(torch.from_numpy(box)[None], truth, np.flatnonzero(used), inclusive=inclusive)[:, 0].numpy()


def sweep_gaussian(truth: Truth, used: NDArray[np.bool_], settings: Settings) -> tuple[MaxBoxAcc, ...]:
    """Evaluate the Gaussian on the used images: MaxBoxAcc of V1 and of V2.

    One map serves all images, and a Gaussian has one contour at every threshold, so its boxes are found once.
    """
    heat = torch.from_numpy(gaussian(settings.geometry.size))[None]
    once = sweep(heat, [torch.zeros(1, 4)], multi_contour=False)
    assert once.boxes is not None
    ious, count = settings.iou_thresholds, settings.num_thresholds
    metrics = tuple(MaxBoxAcc(ious, multi_contour=several, num_thresholds=count) for several in (False, True))
    numbers = np.flatnonzero(used)
    for start in range(0, len(numbers), 1024):
        part = numbers[start : start + 1024]
        best = _best(once.boxes[0], truth, part, inclusive=True)
        for metric in metrics:
            metric.update(Swept(once.maxima.expand(len(part)), best, None, best))
    return metrics


def _best(boxes: Tensor, truth: Truth, numbers: NDArray[np.int64], *, inclusive: bool) -> Tensor:
    """The best IoU of every box (B, 4) with any of each image's: (n, B) float64."""
    every = [torch.from_numpy(found) for number in numbers.tolist() if (found := truth[number]) is not None]
    counts = torch.tensor([len(one) for one in every])
    overlaps = box_iou(torch.cat(every), boxes, inclusive=inclusive)
    index = torch.repeat_interleave(torch.arange(len(every)), counts)[:, None].expand_as(overlaps)
    best = torch.zeros(len(every), len(boxes), dtype=torch.float64)
    return best.scatter_reduce(0, index, overlaps, "amax")
