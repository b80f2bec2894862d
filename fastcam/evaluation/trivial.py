"""What needs no network: the whole image, a centred box, the mean training box, a centred Gaussian."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fastcam.evaluation.settings import Settings
from fastcam.evaluation.truth import Boxes, Truth
from fastcam.metrics import MaxBoxAcc, Swept, sweep
from fastcam.metrics.ground_truth import GroundTruth
from fastcam.protocol import Protocol

__all__ = ["as_found", "centred_box", "gaussian", "mean_box", "sweep_gaussian", "trivial_boxes", "whole_image"]


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


def as_found(box: NDArray[np.float64], size: tuple[int, int], protocol: Protocol) -> NDArray[np.float64]:
    """Return a half-open box with the ends that a protocol gives to the boxes it finds.

    Example:
        >>> import fastcam
        >>> as_found(whole_image((50, 100)), (50, 100), fastcam.WSOLEVAL).tolist()
        [0.0, 0.0, 99.0, 49.0]
    """
    if protocol.box_end == "exclusive":
        return box
    return np.asarray(np.minimum(box, np.array([size[1] - 1, size[0] - 1] * 2)))


def mean_box(truth: Sequence[Boxes]) -> NDArray[np.float64] | None:
    """Return the mean of all boxes of all images, corner by corner; None where there are none. It uses boxes."""
    every = [boxes for boxes in truth if boxes is not None and len(boxes)]
    return np.concatenate(every).mean(axis=0) if every else None


def trivial_boxes(size: tuple[int, int], training: Truth | None, protocol: Protocol) -> dict[str, NDArray[np.float64]]:
    """Return the boxes that look at no image, with the ends that a protocol finds boxes and compares them with.

    Args:
        size: (H, W) of the evaluated pixels.
        training: the ground truth that the mean box is of; None: there is none.
        protocol: whose ``box_end`` and ``iou`` count.

    Returns:
        ``whole_image``, ``centred_box`` and, where ``training`` has boxes, ``mean_training_box``: (4,) each.
    """
    boxes = {
        "whole_image": as_found(whole_image(size), size, protocol),
        "centred_box": as_found(centred_box(size), size, protocol),
    }
    # A ground truth like the others: its ends are theirs.
    mean = None if training is None else mean_box(training.compared(protocol))
    return boxes if mean is None else {**boxes, "mean_training_box": mean}


def gaussian(size: tuple[int, int]) -> NDArray[np.float64]:
    """Return a score map (H, W) in [0, 1] that falls off from the centre, with a deviation of a quarter of each side.

    The deviation hardly matters: what is counted depends on the order of the scores alone.
    """
    rows, columns = (np.exp(-8 * ((np.arange(length) + 0.5) / length - 0.5) ** 2) for length in size)
    heat = rows[:, None] * columns
    return np.asarray((heat - heat.min()) / (heat.max() - heat.min()))


def sweep_gaussian(truth: Sequence[Boxes], used: NDArray[np.bool_], settings: Settings) -> tuple[MaxBoxAcc, MaxBoxAcc]:
    """Evaluate the Gaussian on the used images: MaxBoxAcc of V1 and of V2.

    One map serves all images, and a Gaussian has one contour at every threshold, so its boxes are found once.
    """
    heat = torch.from_numpy(gaussian(settings.inputs.size))[None]
    once = sweep(heat, [torch.zeros(1, 4)], multi_contour=False)
    assert once.boxes is not None
    ious, count = settings.iou_thresholds, settings.num_thresholds
    # Every process of several counts all images.
    largest, of_any = (
        MaxBoxAcc(ious, multi_contour=several, num_thresholds=count, sync_on_compute=False) for several in (False, True)
    )
    numbers = np.flatnonzero(used).tolist()
    for start in range(0, len(numbers), 1024):
        boxes = [truth[number] for number in numbers[start : start + 1024]]
        best = GroundTruth(boxes, len(boxes)).best_iou(once.boxes, inclusive=True)
        for metric in (largest, of_any):
            metric.update(Swept(once.maxima.expand(len(boxes)), best, None, best))
    return largest, of_any
