"""What the metrics are given, checked: score maps, masks, boxes, classes, and the numbers they are made with."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastcam.arrays import ArrayLike, as_tensor
from fastcam.masks import PackedMasks, plain_masks
from fastcam.ops.core import DTYPES
from fastcam.ops.score_maps import IGNORED
from fastcam.rle import Rle

__all__ = [
    "MasksLike",
    "checked_classes",
    "checked_correct",
    "checked_count",
    "checked_found",
    "checked_iou",
    "checked_ious",
    "checked_labels",
    "checked_maps",
    "checked_masks",
    "checked_size_limits",
    "checked_thresholds",
    "outside_error",
    "values_error",
]

MasksLike = ArrayLike | PackedMasks | Sequence[Rle]


def checked_maps(maps: ArrayLike) -> Tensor:
    """Score maps (N, h, w) of a floating-point type; one channel, (N, 1, h, w), is taken off."""
    given = as_tensor("maps", maps, "score maps (N, h, w)").detach()
    if given.ndim == 4 and given.shape[1] == 1:
        given = given[:, 0]
    if given.ndim != 3 or 0 in given.shape[1:]:
        raise ValueError(
            f"maps must be (N, h, w) or (N, 1, h, w) with at least one pixel, got shape {tuple(given.shape)}"
        )
    if given.dtype not in DTYPES:
        raise TypeError(
            f"maps must be of a floating-point type, float16, bfloat16, float32 or float64, got {given.dtype}"
        )
    return given


def outside_error(inside: Tensor, maps: Tensor, first: int = 0) -> ValueError:
    """The error for maps, given as they are evaluated, that leave [0, 1]; ``first`` is the number of the first."""
    i = int((~inside).to(torch.uint8).argmax())
    low, high = float(maps[i].min()), float(maps[i].max())
    return ValueError(
        f"maps must lie in [0, 1], got values from {low:g} to {high:g} in maps[{first + i}]; give size=(H, W) where "
        "maps are raw, to be resized and normalized"
    )


def checked_masks(masks: MasksLike, images: int, size: tuple[int, int]) -> Tensor:
    """Masks (N, H, W) as uint8, of 0, 1 and 255 if they were; one channel, (N, 1, H, W), is taken off."""
    given = as_tensor("masks", plain_masks(masks), "masks (N, H, W)").detach()
    shape = (images, *size)
    if given.shape == (images, 1, *size):
        given = given[:, 0]
    if given.is_floating_point() or given.is_complex() or given.shape != shape:
        raise ValueError(
            f"masks must be {shape} uint8, another integer type or bool, got {given.dtype} of shape "
            f"{tuple(given.shape)}"
        )
    if given.dtype not in (torch.uint8, torch.bool):
        # Narrowed before it is looked at, 256 would be background and -1 ignored.
        wide = given.to(torch.int64)
        wrong = (wide != 0) & (wide != 1) & (wide != IGNORED)
        if wrong.any():
            raise values_error(wide)
    return given.to(torch.uint8)


def values_error(masks: Tensor) -> ValueError:
    """The error for masks that hold other values."""
    found = masks.unique().tolist()
    shown = f"{', '.join(map(str, found[:8]))}{', ...' if len(found) > 8 else ''}"
    return ValueError(f"masks must hold 0, 1 and {IGNORED}, got [{shown}]")


def checked_correct(correct: ArrayLike, images: int) -> Tensor:
    """Whether the true class is the first, and whether it is among the first five: (N, 2) bool."""
    given = as_tensor("correct", correct, f"({images}, 2) bool").detach()
    if given.dtype != torch.bool or given.shape != (images, 2):
        raise ValueError(
            f"correct must be ({images}, 2) bool, top-1 and top-5, got {given.dtype} of shape {tuple(given.shape)}"
        )
    return given


def checked_labels(labels: ArrayLike, images: int) -> Tensor:
    """The true class of each image, (N,) int64; of a single image also ()."""
    given = as_tensor("labels", labels, f"({images},) whole numbers").detach()
    if given.ndim == 0 and images == 1:
        given = given[None]
    nothing = images == 0 and given.shape == (0,)  # a list of none has no dtype
    if (not _is_whole(given) and not nothing) or given.shape != (images,):
        raise ValueError(f"labels must be ({images},) whole numbers, got {given.dtype} of shape {tuple(given.shape)}")
    return given.to(torch.int64)


def checked_classes(predicted: ArrayLike, images: int, k: int) -> Tensor:
    """The first k predicted classes of each image, (N, k) int64 on the CPU, of (N, T)."""
    given = as_tensor("predicted", predicted, "a tensor or array (N, T) of classes").detach()
    if given.ndim != 2 or len(given) != images or given.shape[1] < k:
        raise ValueError(f"predicted must be ({images}, T), T at least {k}, got {tuple(given.shape)}")
    if not _is_whole(given):
        raise TypeError(f"predicted must hold classes, the likeliest first, got {given.dtype}: logits?")
    return given[:, :k].to("cpu", torch.int64)


def checked_found(found: ArrayLike, ndim: int, wanted: str) -> Tensor:
    """Found boxes of the wanted shape."""
    given = as_tensor("found", found, f"a tensor or array {wanted}").detach()
    if given.ndim != ndim or given.shape[-1] != 4:
        raise ValueError(f"found must be {wanted}, got shape {tuple(given.shape)}")
    if given.is_complex() or given.dtype == torch.bool:
        raise TypeError(f"found must hold pixels, got {given.dtype}")
    return given


def checked_iou(iou_threshold: float) -> float:
    """An IoU at which a box is right."""
    if not 0 < float(iou_threshold) <= 1:
        raise ValueError(f"iou_threshold must lie in (0, 1], got {iou_threshold!r}")
    return float(iou_threshold)


def checked_ious(iou_thresholds: Sequence[float]) -> tuple[float, ...]:
    """IoUs at which a box is right."""
    wanted = "iou_thresholds must be distinct numbers in (0, 1], at least one"
    try:
        ious = tuple(float(iou) for iou in iou_thresholds)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{wanted}, got {iou_thresholds!r}") from error
    if not ious or not all(0 < iou <= 1 for iou in ious) or len(set(ious)) < len(ious):
        raise ValueError(f"{wanted}, got {iou_thresholds!r}")
    return ious


def checked_size_limits(size_limits: Sequence[float]) -> tuple[float, float]:
    """Shares of an image at which objects are no longer small, and large."""
    wanted = "size_limits must be two shares of the image, 0 < medium < large <= 1"
    try:
        medium, large = (float(limit) for limit in size_limits)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{wanted}, got {size_limits!r}") from error
    if not 0 < medium < large <= 1:
        raise ValueError(f"{wanted}, got {size_limits!r}")
    return medium, large


def checked_count(name: str, count: int) -> int:
    """A whole number, at least 1."""
    try:
        whole = 0 if isinstance(count, (bool, np.bool_)) else operator.index(count)
    except TypeError:
        whole = 0
    if whole < 1:
        raise ValueError(f"{name} must be a whole number, at least 1, got {count!r}")
    return whole


def checked_thresholds(num_thresholds: int) -> npt.NDArray[np.float64]:
    """``np.arange(0, 1, 1 / num_thresholds)``."""
    return np.arange(0, 1, 1 / checked_count("num_thresholds", num_thresholds))


def _is_whole(given: Tensor) -> bool:
    return not (given.is_floating_point() or given.is_complex() or given.dtype == torch.bool)
