"""Predictors that look at no image: what any localization has to beat."""

from __future__ import annotations

import torch
from torch import Tensor

from fastcam.ablation.features import Truth

__all__ = ["CENTRED", "trivial_boxes"]

_SIDE = 0.7
CENTRED = f"centred box, side {_SIDE:g}"


def trivial_boxes(size: tuple[int, int], training: Truth) -> dict[str, Tensor]:
    """Return the box, (1, 4) float64 in evaluated pixels, that each of them finds in every image.

    Args:
        size: (H, W) of the pixels.
        training: of the training images, whose first boxes the last one averages: it alone has seen boxes.

    Example:
        >>> boxes = torch.tensor([[[0.0, 0, 10, 10]], [[10, 10, 20, 20]]])
        >>> trivial_boxes((100, 200), Truth(torch.zeros(2), boxes))["mean training box (uses boxes)"].tolist()
        [[5.0, 5.0, 15.0, 15.0]]
    """
    height, width = size
    whole = torch.tensor([[0, 0, width, height]], dtype=torch.float64)
    centre = torch.tensor([width / 2, height / 2], dtype=torch.float64).repeat(2)
    return {
        "whole image": whole,
        CENTRED: centre + (whole - centre) * _SIDE,
        "mean training box (uses boxes)": training.boxes[:, 0].double().mean(dim=0, keepdim=True),
    }
