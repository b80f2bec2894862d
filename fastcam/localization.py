"""From features or heat maps to boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastcam.activation import Index, checked_rows
from fastcam.arrays import as_tensor
from fastcam.objects import Objects
from fastcam.ops import localization as ops
from fastcam.ops.activation import cam, shape_of_maps
from fastcam.ops.objects import localize_all
from fastcam.protocol import PAPER, Protocol, Threshold
from fastcam.ragged import all_shaped, located, located_all, objects_found, shaped, wanted_parts
from fastcam.reference.masks import working_dtype
from fastcam.result import Localization
from fastcam.sizes import Size, Sizes, checked_sizes

__all__ = ["Localization", "Objects", "boxes_from_maps", "check_units", "checked_maps", "localize", "localize_maps"]


def localize(
    features: Tensor,
    weight: Tensor,
    index: Index | None = None,
    *,
    size: Size | Sequence[Size],
    protocol: Protocol = PAPER,
    percentile: float | None = None,
    threshold: Threshold | None = None,
    return_maps: bool = False,
    return_masks: bool = False,
) -> Localization:
    r"""Find the box of a class in each image from the classifier's last feature maps.

    The class activation map (Eq. 2, 5) is resized to ``size``; what exceeds :math:`\theta \cdot \mathrm{per}_i` of it
    (Eq. 6) is kept; the box is that of the largest connected component. :class:`Protocol` names every choice in this.

    Args:
        features: (N, C, h, w), any floating-point dtype, CPU or CUDA, any strides.
        weight: (K, C), the classifier's weights, with ``index``; or (N, C), one row an image, without (Grad-CAM style).
        index: the classes, (N,) or (N, T); see :func:`cam`.
        size: (H, W) in pixels that the boxes refer to; or one (H, W) an image.
        protocol: how a map becomes a box.
        percentile: overrides the protocol's, in [0, 100].
        threshold: overrides the protocol's theta, in [0, 1].
        return_maps: also return the maps at full size.
        return_masks: also return what the threshold keeps.

    Returns:
        :class:`Localization`. ``thresholds`` equals ``np.float32(theta) * np.percentile(map, percentile)`` of the
        float32 map that ``return_maps=True`` returns, bit for bit (NumPy 2.4's arithmetic); of levels,
        ``int(theta * np.percentile(levels, percentile))``. A map with a NaN gives an empty box. Of float64 features
        all of it is computed in float64, maps and thresholds included, by PyTorch's operations and not the compiled
        core: from the map to the mask that takes tens of times as long. With ``keep="all"`` it is :class:`Objects`, any
        number of boxes an image; on CUDA their number is waited for. :func:`localize_padded` waits for nothing.

    Raises:
        TypeError: an argument of the wrong type or dtype.
        ValueError: shapes or devices that do not fit, or a number out of range.

    Example:
        >>> import torch, fastcam
        >>> features = torch.zeros(1, 2, 7, 7)
        >>> features[0, 0, 2:4, 1:5] = 1
        >>> weight = torch.tensor([[1.0, 0.0]])
        >>> found = fastcam.localize(features, weight, [0], size=(224, 224))
        >>> found.boxes
        tensor([[ 25.,  57., 167., 135.]])
    """
    chosen = _overridden(protocol, percentile, threshold)
    labels = checked_rows(features, weight, index)
    sizes = checked_sizes(size, features.shape[0])
    features, weight = features.detach(), weight.detach()
    if isinstance(sizes, list):
        maps = cam(features, weight, labels, chosen.clamp_negative)
        return _localized(maps, labels, sizes, chosen, return_maps, return_masks)
    shape, options = shape_of_maps(weight, labels), (*sizes, *chosen.values, return_maps, return_masks)
    if chosen.keep == "all":
        every = objects_found(localize_all(features, weight, labels, *options), return_maps, return_masks)
        return all_shaped(every, shape, labels, sizes, chosen)
    found = ops.localize_by(chosen, *sizes, features, weight, labels)(features, weight, labels, *options)
    return shaped(wanted_parts(found, return_maps, return_masks), shape, labels, sizes, chosen)


def localize_maps(
    maps: Tensor,
    labels: Tensor | None,
    *,
    size: Size | Sequence[Size],
    protocol: Protocol = PAPER,
    percentile: float | None = None,
    threshold: Threshold | None = None,
    return_maps: bool = False,
    return_masks: bool = False,
) -> Localization:
    """Find the box of each finished map: what :func:`localize` does after the class activation map.

    Args:
        maps: (N, h, w), or (N, T, h, w) for T classes an image; floating point, CPU or CUDA, any strides. Those of
            float64 are worked on in float64.
        labels: the classes whose maps these are, (N,) or (N, T); None where they have none.
        size: (H, W) in pixels that the boxes refer to; or one (H, W) an image.
        protocol: how a map becomes a box; ``clamp_negative`` has nothing to act on.
        percentile: overrides the protocol's, in [0, 100].
        threshold: overrides the protocol's theta, in [0, 1].
        return_maps: also return the maps at full size.
        return_masks: also return what the threshold keeps.

    Returns:
        :class:`Localization`, its leading shape that of the maps, (N,) or (N, T); :class:`Objects` with ``keep="all"``.

    Raises:
        TypeError: an argument of the wrong type or dtype.
        ValueError: shapes that do not fit, or a number out of range.

    Example:
        >>> import torch
        >>> maps = torch.zeros(1, 2, 8, 8)
        >>> maps[0, 0, 2:5, 1:7] = maps[0, 1, 0, 0] = 1
        >>> localize_maps(maps, torch.tensor([[3, 9]]), size=(8, 8)).boxes
        tensor([[[1., 2., 7., 5.],
                 [0., 0., 1., 1.]]])
    """
    chosen = _overridden(protocol, percentile, threshold)
    if not isinstance(maps, Tensor) or not maps.dtype.is_floating_point:
        got = maps.dtype if isinstance(maps, Tensor) else type(maps).__name__
        raise TypeError(f"maps must be a floating-point tensor, got {got}")
    _check_dense(maps)
    if maps.ndim not in (3, 4) or 0 in maps.shape[-2:]:
        raise ValueError(
            f"maps must be (N, h, w) or (N, T, h, w) with h and w at least 1, got shape {tuple(maps.shape)}"
        )
    if labels is not None and not isinstance(labels, Tensor):
        raise TypeError(f"labels must be a tensor, got {type(labels).__name__}")
    if labels is not None and labels.shape != maps.shape[:-2]:
        raise ValueError(f"labels must be {tuple(maps.shape[:-2])}, one a map, got shape {tuple(labels.shape)}")
    return _localized(maps.detach(), labels, checked_sizes(size, maps.shape[0]), chosen, return_maps, return_masks)


def _localized(
    maps: Tensor, labels: Tensor | None, sizes: Sizes, protocol: Protocol, with_maps: bool, with_masks: bool
) -> Localization:
    """Locate maps (N, h, w) or (N, T, h, w), with one size for all or one for each of N."""
    each = sizes
    if isinstance(sizes, list) and maps.ndim == 4:
        classes = maps.shape[1]
        # Without classes there are no maps, and one size will do.
        each = [size for size in sizes for _ in range(classes)] if classes else [*sizes, (1, 1)][0]
    flat = maps if maps.ndim == 3 else maps.flatten(0, 1)
    if protocol.keep == "all":
        every = located_all(flat, each, protocol, with_maps, with_masks)
        return all_shaped(every, maps.shape[:-2], labels, sizes, protocol)
    return shaped(located(flat, each, protocol, with_maps, with_masks), maps.shape[:-2], labels, sizes, protocol)


def boxes_from_maps(
    maps: Tensor | npt.NDArray[Any] | Sequence[Tensor | npt.NDArray[Any]],
    *,
    size: Size | Sequence[Size] | None = None,
    protocol: Protocol = PAPER,
) -> Localization:
    """Boxes from any library's heat maps.

    pytorch-grad-cam gives an array (N, H, W), captum and anomalib a tensor (N, 1, h, w), torch-cam a list with a tensor
    (N, h, w) for each layer; ``docs/maps.md`` says how each is passed.

    Args:
        maps: (N, h, w), (N, 1, h, w) or (h, w), tensor or NumPy array, floating point or uint8; or a list of them,
            whose sizes may differ. Two or more batches of one length in a list could be the maps of as many layers,
            and are refused. float64 and long double are worked on in float64, all else in float32.
        size: (H, W) in pixels that the boxes refer to, or one an image; by default the maps' own size.
        protocol: how a map becomes a box; ``clamp_negative`` has nothing to act on.

    Returns:
        :class:`Localization` for N images, without labels and scores; ``thresholds`` are float64 where a map is. With
        ``keep="all"`` :class:`Objects`, any number of boxes an image, with scores.

    Raises:
        TypeError: maps of another type, dtype or layout.
        ValueError: maps of another rank or without pixels, a masked array that hides some, maps that could be those of
            several layers, or a size that does not fit.

    Example:
        >>> import numpy as np, fastcam
        >>> heat = np.zeros((8, 8), np.float32)
        >>> heat[2:5, 1:7] = 1
        >>> fastcam.boxes_from_maps(heat).boxes
        tensor([[1., 2., 7., 5.]])
    """
    chosen = _overridden(protocol, None, None)
    listed = maps if isinstance(maps, Sequence) else [maps]
    several = [checked_maps(one) for one in listed]
    _check_not_layers(listed)
    check_units(several, chosen)
    if len(several) != 1:
        several = [one for one in several if len(one)] or several[:1] or [torch.zeros(0, 1, 1)]
    # Not len(): while a graph is traced, the number of images may be none yet.
    images = sum(one.shape[0] for one in several)
    several = [one.to(working_dtype(one.dtype)) for one in several]
    if len({(one.shape[1:], one.device, one.dtype) for one in several}) == 1:
        flat = several[0] if len(several) == 1 else torch.cat(several)
        sizes = (flat.shape[1], flat.shape[2]) if size is None else checked_sizes(size, images)
        return _localized(flat, None, sizes, chosen, False, False)
    single = [one[i : i + 1] for one in several for i in range(len(one))]
    wanted = [(one.shape[1], one.shape[2]) for one in single] if size is None else checked_sizes(size, images)
    each = wanted if isinstance(wanted, list) else [wanted] * images
    if chosen.keep == "all":
        device = single[0].device
        every = [located_all(one, at, chosen, False, False).to(device) for one, at in zip(single, each, strict=True)]
        return replace(Objects.cat(every), size=tuple(each))
    parts = [located(one, at, chosen, False, False) for one, at in zip(single, each, strict=True)]
    boxes, areas, thresholds = (torch.cat([part[i].to(single[0].device) for part in parts]) for i in range(3))
    return Localization(boxes, areas, thresholds, size=tuple(each))


def _overridden(protocol: Protocol, percentile: float | None, threshold: Threshold | None) -> Protocol:
    if not isinstance(protocol, Protocol):
        raise TypeError(f"protocol must be a fastcam.Protocol, got {protocol!r}")
    given = {"percentile": percentile, "threshold": threshold}
    changes = {name: value for name, value in given.items() if value is not None}
    return protocol.replace(**changes) if changes else protocol


def check_units(maps: Sequence[Tensor], protocol: Protocol) -> None:
    """Refuse levels where the protocol takes maps in [0, 1]."""
    if protocol.quantize and protocol.normalize == "none" and any(one.dtype == torch.uint8 for one in maps):
        raise ValueError(
            "protocol.quantize without normalize takes maps in [0, 1], got uint8 maps; "
            'divide them by 255, or use normalize="max"'
        )


def checked_maps(maps: Tensor | npt.NDArray[Any]) -> Tensor:
    """Return maps in any accepted form as a tensor (N, h, w)."""
    if isinstance(maps, np.ndarray):
        maps = _from_numpy(maps)
    if not isinstance(maps, Tensor):
        advice = "; pass the entry that holds the maps" if isinstance(maps, Mapping) else ""
        raise TypeError(f"maps must be a tensor, an array or a list of them, got {type(maps).__name__}{advice}")
    if not maps.dtype.is_floating_point and maps.dtype != torch.uint8:
        raise TypeError(f"maps must be floating point or uint8, got {maps.dtype}")
    _check_dense(maps)
    shape = tuple(maps.shape)
    if maps.ndim == 4 and shape[1] == 1:
        maps = maps[:, 0]
    if maps.ndim == 2:
        maps = maps[None]
    if maps.ndim != 3 or 0 in maps.shape[1:]:
        advice = "; for one box an image reduce the channels, as with maps.sum(1)" if len(shape) == 4 else ""
        raise ValueError(
            f"maps must be (N, h, w), (N, 1, h, w) or (h, w) with h and w at least 1, got shape {shape}{advice}"
        )
    return maps.detach()


def _from_numpy(maps: npt.NDArray[Any]) -> Tensor:
    """An array of any strides and byte order, as wide as its type, or as float64 if that is wider."""
    if isinstance(maps, np.ma.MaskedArray) and np.ma.getmaskarray(maps).any():
        raise ValueError("maps must not hide values, got a masked array that does; pass maps.filled(value)")
    if maps.dtype.kind != "f" and maps.dtype != np.uint8:
        raise TypeError(f"maps must be floating point or uint8, got {maps.dtype}")
    return as_tensor("maps", maps)


def _check_dense(maps: Tensor) -> None:
    """Refuse a tensor whose values do not lie at strides; its dtype was checked, which leaves out quantized ones."""
    if maps.is_nested or maps.layout != torch.strided or maps.device.type == "meta":
        kind = "nested" if maps.is_nested else "meta" if maps.device.type == "meta" else str(maps.layout)
        raise TypeError(f"maps must be a dense tensor with values, got a {kind} one")


def _check_not_layers(maps: Sequence[Tensor | npt.NDArray[Any]]) -> None:
    """Refuse a list of batches of one length: torch-cam's list holds a batch of the same images for each layer."""
    if len(maps) < 2 or any(one.ndim < 3 for one in maps):
        return
    lengths = {len(one) for one in maps}
    if len(lengths) == 1 and lengths != {0}:
        raise ValueError(
            f"maps must be one batch, or a list of maps (h, w), got a list of {len(maps)} batches of {lengths.pop()}, "
            "which could be the maps of as many layers; fuse the layers or pass one, as maps[0]; if they are of "
            "different images, pass [one for batch in maps for one in batch]"
        )
