"""All boxes of heat maps by the tools of today: anomalib's loop over components; a mask for each level with OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

__all__ = ["by_anomalib", "nodes_by_opencv"]

_Found = tuple[list[Tensor], list[Tensor]]


def by_anomalib(masks: Tensor, maps: Tensor) -> _Found:
    """Boxes (M, 4), their last pixels inside, and scores (M,) for each image.

    Written anew from the description of its ``masks_to_boxes`` on a CPU: OpenCV's labels of each mask, and for each
    label a comparison with all of them, ``torch.where``, the extremes of the coordinates, and the map's maximum there.
    """
    boxes, scores = [], []
    for mask, heat in zip(masks, maps, strict=True):
        labels = torch.from_numpy(cv2.connectedComponents(mask.numpy().astype(np.uint8))[1])
        own, its = [], []
        for number in labels.unique():
            if number == 0:
                continue
            y, x = torch.where(labels == number)
            own.append(torch.stack([x.min(), y.min(), x.max(), y.max()]).float())
            its.append(heat[y, x].max())
        boxes.append(torch.stack(own) if own else torch.zeros(0, 4))
        scores.append(torch.stack(its) if its else torch.zeros(0))
    return boxes, scores


def nodes_by_opencv(levels: Tensor) -> int:
    """How many components there are of levels (H, W) at all their thresholds, found with boxes and areas."""
    image, count = levels.numpy(), 0
    for level in np.unique(image)[1:]:
        mask = (image >= level).astype(np.uint8)
        count += cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_16U)[0] - 1
    return count
