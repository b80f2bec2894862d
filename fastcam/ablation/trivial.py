"""Predictors that look at no image: what any localization has to beat."""

from __future__ import annotations

import torch
from torch import Tensor

from fastcam.ablation.features import Truth
from fastcam.evaluation import centred_box, whole_image

__all__ = ["CENTRED", "MEAN", "trivial_boxes"]

CENTRED = "centred box, side 0.7"
MEAN = "mean training box (uses boxes)"


def trivial_boxes(size: tuple[int, int], training: Truth, *, inclusive: bool) -> dict[str, Tensor]:
    """Return the box, (1, 4) float64 in evaluated pixels, that each of them finds in every image.

    Args:
        size: (H, W) of the pixels.
        training: of the training images, whose first boxes the last one averages: it alone has seen boxes.
        inclusive: how the boxes will be compared.

    Example:
        >>> boxes = torch.tensor([[[0.0, 0, 10, 10]], [[10, 10, 20, 20]]])
        >>> trivial_boxes((100, 200), Truth(torch.zeros(2), boxes), inclusive=False)[MEAN].tolist()
        [[5.0, 5.0, 15.0, 15.0]]
    """
    return {
        "whole image": torch.from_numpy(whole_image(size))[None],
        CENTRED: torch.from_numpy(centred_box(size))[None],
        MEAN: training.compared(inclusive=inclusive)[:, 0].double().mean(dim=0, keepdim=True),
    }
