"""From features to boxes with the tools of today, by the protocols PAPER and AUTHORS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from mask_peers import Box, Mask
from torch import Tensor

__all__ = ["opencv", "torch_map", "with_torch"]

_PERCENTILE: Final = 90
_THRESHOLD: Final = 0.35
_INTERPOLATION: Final = {"PAPER": cv2.INTER_LINEAR, "AUTHORS": cv2.INTER_CUBIC}

Array = npt.NDArray[np.float32]


def torch_map(features: Tensor, rows: Tensor) -> Tensor:
    """The bare weighted sum, (N, h, w), by one batched product."""
    return torch.bmm(rows[:, None], features.flatten(2)).view(len(features), *features.shape[2:])


def with_torch(
    features: Tensor, weight: Tensor, index: Tensor, size: int, protocol: str, box: Callable[[Mask], Box]
) -> list[Box]:
    """The batch as one tensor up to the masks. The percentile is the order statistic below, without interpolation."""
    maps = torch_map(features, weight[index].clamp_(min=0)).float()
    mode = "bilinear" if protocol == "PAPER" else "bicubic"
    full = F.interpolate(maps[:, None], (size, size), mode=mode, align_corners=False)[:, 0].flatten(1)
    rank = 1 + (size * size - 1) * _PERCENTILE // 100
    if protocol == "PAPER":
        cuts = _THRESHOLD * full.kthvalue(rank, dim=1).values
    else:
        low, high = full.aminmax(dim=1, keepdim=True)
        full = full.sub_(low).mul_(255 / (high - low)).to(torch.uint8)
        cuts = (_THRESHOLD * full.kthvalue(rank, dim=1).values.float()).to(torch.uint8)
    masks = (full > cuts[:, None]).view(torch.uint8).view(-1, size, size)
    return [box(mask) for mask in masks.numpy()]


def opencv(
    features: Array, weight: Array, index: npt.NDArray[np.int64], size: int, protocol: str, box: Callable[[Mask], Box]
) -> list[Box]:
    """Image by image, everything of one while it is in the caches."""
    return [
        box(_opencv_mask(one, np.maximum(weight[label], 0), size, protocol))
        for one, label in zip(features, index, strict=True)
    ]


def _opencv_mask(features: Array, row: Array, size: int, protocol: str) -> Mask:
    full = cv2.resize(np.einsum("c,chw->hw", row, features), (size, size), interpolation=_INTERPOLATION[protocol])
    if protocol == "PAPER":
        return (full > np.float32(_THRESHOLD) * np.percentile(full, _PERCENTILE)).view(np.uint8)
    low, high = full.min(), full.max()
    levels = ((full - low) * (255 / (high - low))).astype(np.uint8)
    return cv2.threshold(levels, int(_THRESHOLD * np.percentile(levels, _PERCENTILE)), 255, cv2.THRESH_BINARY)[1]
