"""The class activation map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastcam.ops import activation as ops
from fastcam.ops.arguments import check_dense, check_features
from fastcam.ops.index import in_range

__all__ = ["cam"]

Index = Tensor | npt.NDArray[np.integer[Any]] | Sequence[int] | Sequence[Sequence[int]] | int


def cam(features: Tensor, weight: Tensor, index: Index | None = None, *, clamp_negative: bool = True) -> Tensor:
    r"""Class activation maps (Eq. 2), by default with negative weight clamping (Eq. 5).

    .. math:: M_k = \sum_c \max(w_{k,c}, 0) F_c

    Accumulates in float32 (float64 for float64 features), on the CPU in the order of the channels: the result does not
    depend on the batch size, the number of threads or the instruction set. A channel whose weight is 0 after clamping
    counts as not read: a NaN in it changes nothing. Nothing flows back through it.

    Args:
        features: (N, C, h, w), any floating-point dtype, any strides; or with positions along one axis, (N, C, l), as
            of sound, or along three, (N, C, d, h, w), as of video and volumes.
        weight: (K, C), the classifier's weights, with ``index``; or (N, C), one row an image, without.
        index: the classes wanted, (N,) or (N, T) integers of any width in [0, K), as a tensor, an array or lists; one
            integer stands for all images. On CUDA the range is not checked, as that would wait for the device: an
            index outside it gives a map of NaN.
        clamp_negative: use max(w, 0).

    Returns:
        (N, h, w), or (N, T, h, w) for an index of (N, T), and likewise (N, l) or (N, d, h, w); float32, or float64 for
        float64 features.

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
    planes = _as_planes(features, weight)
    rows = checked_rows(planes, weight, index)
    maps: Tensor = ops.cam(planes.detach(), weight.detach(), rows, clamp_negative)
    return maps if planes is features else maps.reshape(*maps.shape[:-2], *features.shape[2:])


def _as_planes(features: Tensor, weight: Tensor) -> Tensor:
    """Features of one or three axes of positions as (N, C, h, w), a view where strides can say it; others unchanged."""
    if not isinstance(features, Tensor) or features.ndim not in (3, 5):
        return features
    check_dense("features", features)
    sides = features.shape[2:]
    columns = weight.shape[1] if isinstance(weight, Tensor) and weight.ndim == 2 else features.shape[1]
    if 0 in sides or columns != features.shape[1]:
        raise ValueError(
            "features must be (N, C, h, w) or, with positions along one axis or three, (N, C, l) or (N, C, d, h, w), "
            f"with sides of at least 1 and the weight's C={columns} channels, got shape {tuple(features.shape)}"
        )
    if len(sides) == 1:
        return features[:, :, None]
    depth, height, width = features.stride()[2:]
    # Depth and height are one axis where a step in depth is as long as all of height; if not, height and width may be.
    last = sides[0] != 1 and depth != sides[1] * height and height == sides[2] * width
    return features.flatten(3) if last else features.flatten(2, 3)


def checked_rows(features: Tensor, weight: Tensor, index: Index | None) -> Tensor | None:
    """Check the three as :func:`cam` documents; return the index as int64 (N,) or (N, T) on the features' device."""
    for name, value in (("features", features), ("weight", weight)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(value).__name__}")
    check_features(features, weight)
    if index is None:
        return None
    return checked_index(index, features.shape[0], features.device, classes=weight.shape[0])


def checked_index(index: Index, images: int, device: torch.device, *, classes: int) -> Tensor:
    """Check an index as :func:`cam` documents it; return it as int64 (N,) or (N, T) on the device."""
    rows = _whole_numbers(index)
    if rows.ndim == 0:
        rows = rows.expand(images)
    if rows.ndim not in (1, 2) or rows.shape[0] != images:
        raise ValueError(
            f"index must be (N,) or (N, T) for the {images} images of features, got shape {tuple(rows.shape)}"
        )
    # A copy from a GPU that is not waited for would be read before it has arrived.
    rows = in_range(rows, classes)
    return rows if rows.device == device else rows.to(device, non_blocking=device.type == "cuda")


def _whole_numbers(index: Index) -> Tensor:
    """An index as int64, whatever holds it: no bool, no float."""
    first = index[0] if isinstance(index, (list, tuple)) and index else index
    try:
        rows = _of_array(np.asarray(index)) if isinstance(first, (np.ndarray, np.generic)) else torch.as_tensor(index)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"index must be integers of shape (N,) or (N, T), got {index!r}") from error
    if isinstance(index, np.ma.MaskedArray) and np.ma.is_masked(index):
        raise ValueError("index must have no masked entries; fill them with index.filled(value)")
    nothing = rows.numel() == 0 and not isinstance(index, Tensor)  # an empty list has the type of floats
    if not nothing and (rows.dtype.is_floating_point or rows.dtype.is_complex or rows.dtype == torch.bool):
        raise TypeError(f"index must be integers, got {rows.dtype}")
    return rows if rows.dtype == torch.int64 else rows.to(torch.int64)


def _of_array(array: npt.NDArray[Any]) -> Tensor:
    """A copy that torch takes: in this machine's byte order, its strides positive, its integers signed."""
    if array.dtype.kind in "iu":
        array = np.minimum(array, np.iinfo(np.int64).max) if array.dtype == np.uint64 else array
        return torch.from_numpy(array.astype(np.int64, order="C"))
    return torch.as_tensor(array.astype(array.dtype.newbyteorder("="), order="C"))
