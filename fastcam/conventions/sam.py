"""Boxes and maps as prompts for the Segment Anything Model (Kirillov et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from fastcam.conventions.image_boxes import ImageBoxes, known_size

__all__ = ["sam_prompts"]

_FRAME = 1024  # the longest side of the model's input
_REDUCTION = 4  # of the input to the mask prompt, 256
_LIMIT = 10.0  # the largest logit: a probability of 0.99995


def sam_prompts(images: Sequence[ImageBoxes]) -> list[list[dict[str, NDArray[Any]]]]:
    """Return the arguments of ``SamPredictor.predict`` for each box; see :meth:`Exports.to_sam_prompts`."""
    return [_of_image(one, size) for one, size in known_size(images, "to_sam_prompts")]


def _of_image(one: ImageBoxes, size: tuple[int, int]) -> list[dict[str, NDArray[Any]]]:
    if one.maps is None or one.thresholds is None:
        raise ValueError(
            "to_sam_prompts needs the map of each box: a Localization with return_maps=True, and of one class an image "
            'where keep="all"'
        )
    masks: list[Tensor | None] = [None] * len(one.boxes) if one.masks is None else list(one.masks().cpu())
    rows = zip(one.boxes.detach().cpu(), one.maps, one.thresholds.tolist(), masks, strict=True)
    return [
        _prompt(box, heat.detach().cpu().to(torch.float64), threshold, mask, size)
        for box, heat, threshold, mask in rows
    ]


def _prompt(
    box: Tensor, heat: Tensor, threshold: float, mask: Tensor | None, size: tuple[int, int]
) -> dict[str, NDArray[Any]]:
    first, last = box[:2].round().long(), box[2:].round().long()
    x0, y0 = first.tolist()
    x1, y1 = torch.maximum(last, first + 1).tolist()
    inside = torch.zeros(heat.shape, dtype=torch.bool, device="cpu")
    inside[y0:y1, x0:x1] = True
    if mask is not None and mask.any():
        inside = mask
    y, x = divmod(int(heat.masked_fill(~inside, -torch.inf).argmax()), heat.shape[1])
    logits = _logits(heat, threshold, float(heat[y, x]))
    logits = torch.where(inside, logits, -logits.abs())
    return {
        # The model adds half a pixel to all coordinates: they are pixels, and the last one is inside.
        "box": np.array([x0, y0, x1 - 1, y1 - 1], np.float32),
        "point_coords": np.array([[x, y]], np.float32),
        "point_labels": np.array([1], np.int32),
        "mask_input": _in_frame(logits, size).numpy(),
    }


def _logits(heat: Tensor, threshold: float, peak: float) -> Tensor:
    """Say the map as logits: 0 at the threshold, linear from there to the limit at the peak, and down to the least."""
    finite = heat.nan_to_num(posinf=torch.finfo(torch.float32).max, neginf=torch.finfo(torch.float32).min)
    above, below = max(min(peak, torch.finfo(torch.float32).max) - threshold, 0), threshold - float(finite.min())
    centred = finite - threshold
    scaled = torch.where(centred > 0, centred / (above or 1), centred / (below if below > 0 else 1))
    return (scaled * _LIMIT).clamp(-_LIMIT, _LIMIT).to(torch.float32)


def _in_frame(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a map (H, W) as the model does its picture, pad and reduce it: (1, 256, 256)."""
    scale = _FRAME / max(size)
    height, width = (max(int(length * scale + 0.5), 1) for length in size)
    resized = F.interpolate(logits[None, None], (height, width), mode="bilinear", antialias=True)
    padded = F.pad(resized, (0, _FRAME - width, 0, _FRAME - height), value=-_LIMIT)
    return F.avg_pool2d(padded, _REDUCTION)[0]
