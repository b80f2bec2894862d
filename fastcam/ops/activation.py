"""``fastcam::cam``, the weighted sum over the channels (Eq. 2, 5)."""

from __future__ import annotations

import torch
from torch import Tensor

from fastcam import reference
from fastcam.ops.arguments import check_features, check_index
from fastcam.ops.core import DTYPES, core
from fastcam.ops.gpu import kernels_run_on
from fastcam.ops.tags import TAGS

__all__ = ["cam", "check_sums", "count_of_maps", "features_for_core", "flat_maps", "rows_for_core", "shape_of_maps"]

_library = torch.library.Library("fastcam", "FRAGMENT")
_library.define(
    "cam(Tensor features, Tensor weight, Tensor? index, bool clamp_negative) -> Tensor",
    tags=TAGS,
)


def shape_of_maps(weight: Tensor, index: Tensor | None) -> torch.Size:
    """How many maps there are, (N,) or (N, T): one a row of the weights, or one a class of the index."""
    return weight.shape[:1] if index is None else index.shape


def count_of_maps(weight: Tensor, index: Tensor | None) -> int:
    """How many maps there are."""
    # torch.Size.numel() takes no number for any batch.
    return weight.shape[0] if index is None else index.numel()


def check_sums(features: Tensor, weight: Tensor, index: Tensor | None) -> None:
    """Refuse features, weights and an index that do not fit together."""
    check_features(features, weight)
    check_index(features, weight, index)


def _empty(features: Tensor, weight: Tensor, index: Tensor | None, clamp_negative: bool) -> Tensor:  # noqa: ARG001
    check_sums(features, weight, index)
    work = torch.float64 if features.dtype == torch.float64 else torch.float32
    return features.new_empty((*shape_of_maps(weight, index), *features.shape[2:]), dtype=work)


def rows_for_core(features: Tensor, weight: Tensor, index: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Return the weights, contiguous and as wide as the core sums these features, and the index that fits them.

    Where few rows are asked for, only those are converted.
    """
    work = torch.float64 if features.dtype == torch.float64 else torch.float32
    if weight.dtype != work and index is not None and index.numel() < weight.shape[0]:
        inside = (index >= 0) & (index < weight.shape[0])
        weight = weight[torch.where(inside, index, 0).flatten()]
        index = torch.where(inside.flatten(), torch.arange(weight.shape[0]), -1).view_as(index)
    return weight.to(work).contiguous(), None if index is None else index.contiguous()


ForCore = tuple[int, int, tuple[int, int, int], tuple[int, ...], int, int, int, int, int]
"""Features: address, dtype, (C, h, w), strides; weights: address, rows; index: address; maps: how many, an image."""


def features_for_core(features: Tensor, weight: Tensor, index: Tensor | None) -> ForCore:
    """Return what a function of the core takes of features and of what :func:`rows_for_core` gave.

    These are addresses: the caller keeps the three tensors until the function returns.
    """
    maps = shape_of_maps(weight, index)
    _, channels, height, width = features.shape
    return (
        features.data_ptr(),
        DTYPES[features.dtype],
        (channels, height, width),
        features.stride(),
        weight.data_ptr(),
        weight.shape[0],
        0 if index is None else index.data_ptr(),
        maps.numel(),
        maps[1] if len(maps) == 2 else 1,
    )


def _cpu(features: Tensor, weight: Tensor, index: Tensor | None, clamp_negative: bool) -> Tensor:
    maps = _empty(features, weight, index, clamp_negative)
    rows, chosen = rows_for_core(features, weight, index)
    source = features_for_core(features, rows, chosen)
    core.weighted_sums(*source, clamp_negative, maps.data_ptr(), torch.get_num_threads())
    return maps


def _any_device(features: Tensor, weight: Tensor, index: Tensor | None, clamp_negative: bool) -> Tensor:
    check_sums(features, weight, index)
    return reference.activation.cam(features, weight, index, clamp_negative)


def _cuda(features: Tensor, weight: Tensor, index: Tensor | None, clamp_negative: bool) -> Tensor:
    check_sums(features, weight, index)
    nothing = features.numel() == 0 or weight.numel() == 0
    if nothing or features.dtype == torch.float64 or not kernels_run_on(features.device):
        return reference.activation.cam(features, weight, index, clamp_negative)
    from fastcam.kernels import activation as kernel

    maps = _empty(features, weight, index, clamp_negative)
    if maps.numel():
        planes = features.is_contiguous() or features.is_contiguous(memory_format=torch.channels_last)
        weight = weight.to(torch.float32) if weight.dtype == torch.float64 else weight
        kernel.cam(
            features if planes else features.contiguous(),
            weight.contiguous(),
            None if index is None else index.contiguous(),
            clamp_negative,
            maps,
        )
    return maps


torch.library.register_fake("fastcam::cam", _empty)
_library.impl("cam", _any_device, "CompositeExplicitAutograd")
_library.impl("cam", _cuda, "CUDA")
if core is not None:
    _library.impl("cam", _cpu, "CPU")
cam = torch.ops.fastcam.cam.default


def flat_maps(features: Tensor, weight: Tensor, index: Tensor | None, clamp_negative: bool) -> Tensor:
    """Return the maps (M, h, w) of all images and classes, one after the other."""
    maps = cam(features, weight, index, clamp_negative)
    flat: Tensor = maps.reshape(-1, *maps.shape[-2:])
    return flat
