"""The class activation map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fastcam.ops import activation as ops

__all__ = ["cam"]

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

Index = Tensor | Sequence[int] | Sequence[Sequence[int]] | int


def cam(features: Tensor, weight: Tensor, index: Index | None = None, *, clamp_negative: bool = True) -> Tensor:
    r"""Class activation maps (Eq. 2), by default with negative weight clamping (Eq. 5).

    .. math:: M_k = \sum_c \max(w_{k,c}, 0) F_c

    Accumulates in float32 (float64 for float64 features), on the CPU in the order of the channels: the result does not
    depend on the batch size, the number of threads or the instruction set. A channel whose weight is 0 after clamping
    counts as not read: a NaN in it changes nothing. Nothing flows back through it.

    Args:
        features: (N, C, h, w), any floating-point dtype, any strides.
        weight: (K, C), the classifier's weights, with ``index``; or (N, C), one row an image, without.
        index: the classes wanted, (N,) or (N, T) integers in [0, K); one integer stands for all images. On CUDA the
            range is not checked, as that would wait for the device: an index outside it gives a map of NaN.
        clamp_negative: use max(w, 0).

    Returns:
        (N, h, w), or (N, T, h, w) for an index of (N, T); float32, or float64 for float64 features.

    Raises:
        TypeError: an argument of the wrong type or dtype.
        ValueError: shapes or devices that do not fit, or an index outside [0, K).

    Example:
        >>> import torch, fastcam
        >>> features = torch.tensor([[[[1.0, 0.0]], [[1.0, 1.0]]]])  # (N=1, C=2, h=1, w=2)
        >>> weight = torch.tensor([[2.0, -1.0]])
        >>> fastcam.cam(features, weight, [0])
        tensor([[[2., 0.]]])
        >>> fastcam.cam(features, weight, [0], clamp_negative=False)
        tensor([[[ 1., -1.]]])
    """
    rows = checked_rows(features, weight, index)
    return ops.cam(features.detach(), weight.detach(), rows, clamp_negative)  # type: ignore[no-any-return]


def checked_rows(features: Tensor, weight: Tensor, index: Index | None) -> Tensor | None:
    """Check the three as :func:`cam` documents; return the index as int64 (N,) or (N, T) on the features' device."""
    _check_floating("features", features)
    _check_floating("weight", weight)
    if features.ndim != 4 or 0 in features.shape[2:]:
        raise ValueError(f"features must be (N, C, h, w) with h and w at least 1, got shape {tuple(features.shape)}")
    if weight.ndim != 2 or weight.shape[1] != features.shape[1]:
        raise ValueError(
            f"weight must be (K, C) with the features' C={features.shape[1]} channels, got shape {tuple(weight.shape)}"
        )
    if weight.device != features.device:
        raise ValueError(f"weight must be on the features' device {features.device}, got {weight.device}")
    if index is not None:
        return checked_index(index, len(features), features.device, classes=len(weight))
    if len(weight) != len(features):
        raise ValueError(
            f"weight without index must be (N, C), a row for each of the {len(features)} images, "
            f"got shape {tuple(weight.shape)}; did you forget index?"
        )
    return None


def checked_index(index: Index, images: int, device: torch.device, *, classes: int) -> Tensor:
    """Check an index as :func:`cam` documents it; return it as int64 (N,) or (N, T) on the device."""
    try:
        # torch takes no array with negative strides; a copy has none.
        rows = torch.as_tensor(index.copy() if isinstance(index, np.ndarray) else index)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"index must be integers of shape (N,) or (N, T), got {index!r}") from error
    empty_list = rows.numel() == 0 and not isinstance(index, Tensor)
    if not empty_list and (rows.dtype.is_floating_point or rows.dtype.is_complex or rows.dtype == torch.bool):
        raise TypeError(f"index must be integers, got {rows.dtype}")
    rows = rows.to(torch.int64)
    if rows.ndim == 0:
        rows = rows.expand(images)
    if rows.ndim not in (1, 2) or len(rows) != images:
        raise ValueError(
            f"index must be (N,) or (N, T) for the {images} images of features, got shape {tuple(rows.shape)}"
        )
    if rows.device.type == "cpu" and rows.numel():
        low, high = int(rows.min()), int(rows.max())
        if low < 0 or high >= classes:
            raise ValueError(f"index must lie in [0, {classes}), got {low if low < 0 else high}")
    return rows.to(device, non_blocking=True)


def _check_floating(name: str, value: object) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(value).__name__}")
    if value.dtype not in _DTYPES:
        raise TypeError(f"{name} must be float16, bfloat16, float32 or float64, got {value.dtype}")
