"""All boxes of maps in a fixed number of rows a map: shapes that are known before the data, and nothing to wait for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from fastcam.activation import Index, checked_rows
from fastcam.localization import check_units, checked_maps
from fastcam.objects import Objects
from fastcam.ops.activation import cam
from fastcam.ops.padded import locate_padded
from fastcam.protocol import Protocol
from fastcam.ragged import all_shaped
from fastcam.reference.masks import working_dtype
from fastcam.sizes import Size, checked_sizes

__all__ = ["PaddedObjects", "localize_padded", "padded_boxes_from_maps"]


@dataclass(frozen=True)
class PaddedObjects:
    """The boxes of each map in K rows, the protocol's ``max_boxes``; rows beyond the last box are zeros.

    Attributes:
        boxes: (N[, T], K, 4) float32, those of a map in the protocol's ``order``; as in :class:`Objects`.
        areas: (N[, T], K); int64 pixels, or float64 polygon areas.
        scores: (N[, T], K) float32, or float64 of float64 maps.
        counts: (N[, T]) int64, how many boxes each map has, also where that is more than K.
        thresholds: (N[, T]), of each map.
        labels: (N[, T]) int64; None where none were given.
        size: (H, W) in pixels that the boxes refer to.
        protocol: by which they were found.

    Example:
        >>> import torch, fastcam
        >>> heat = torch.eye(8)[None]
        >>> protocol = fastcam.PAPER.replace(keep="all", max_boxes=3, connectivity=4)
        >>> found = fastcam.padded_boxes_from_maps(heat, protocol=protocol)
        >>> found.boxes[0, 1], found.counts
        (tensor([1., 1., 2., 2.]), tensor([8]))
    """

    boxes: Tensor
    areas: Tensor
    scores: Tensor
    counts: Tensor
    thresholds: Tensor
    labels: Tensor | None
    size: tuple[int, int]
    protocol: Protocol

    def __len__(self) -> int:
        """Return the number of images, N."""
        return len(self.counts)

    @property
    def is_box(self) -> Tensor:
        """(N[, T], K) bool: the rows that hold a box."""
        rows = torch.arange(self.boxes.shape[-2], device=self.counts.device)
        return rows < self.counts[..., None]

    def objects(self) -> Objects:
        """Return the same boxes without the empty rows; on a GPU their number is waited for.

        Example:
            >>> import torch, fastcam
            >>> heat = torch.eye(8)[None].repeat(2, 1, 1)
            >>> protocol = fastcam.PAPER.replace(keep="all", max_boxes=3, connectivity=4)
            >>> fastcam.padded_boxes_from_maps(heat, protocol=protocol).objects()
            Objects(2 images, 6 boxes on cpu, scores)
        """
        there = self.is_box.reshape(-1, self.boxes.shape[-2])
        boxes, areas, scores = (
            part.reshape(*there.shape, *rest)[there]
            for part, rest in ((self.boxes, (4,)), (self.areas, ()), (self.scores, ()))
        )
        flat = Objects(boxes, areas, self.thresholds.reshape(-1), scores=scores, image=there.nonzero()[:, 0])
        return all_shaped(flat, self.counts.shape, self.labels, self.size, self.protocol)


def localize_padded(
    features: Tensor,
    weight: Tensor,
    index: Index | None = None,
    *,
    size: Size,
    protocol: Protocol,
) -> PaddedObjects:
    """Find all boxes of a class in each image, as :func:`localize` with ``keep="all"``, in rows of a fixed number.

    On a GPU nothing waits for the data, so all of it can be captured in a CUDA graph once it has run on the same
    shapes; with ``threshold="stable"`` and for more than 1024x1024 pixels it goes by way of the host and does wait.

    Args:
        features: (N, C, h, w), as :func:`localize` takes them.
        weight: (K, C) with ``index``, or (N, C) without.
        index: the classes, (N,) or (N, T); on a GPU a tensor there, which nobody has to wait for.
        size: (H, W) in pixels that the boxes refer to.
        protocol: with ``keep="all"`` and ``max_boxes``, the number of rows. Each row takes one more pass over a map's
            components: a few tens are cheap.

    Returns:
        :class:`PaddedObjects`: of each map the first ``max_boxes`` boxes that :func:`localize` finds. On CUDA the mean
        of a component is that of the values cut off at 2^-46 of the map's largest (224x224), so a float32 score may
        differ from the CPU's in its last bit; all else is the same to the bit.

    Raises:
        TypeError: an argument of the wrong type or dtype.
        ValueError: shapes or devices that do not fit, several sizes, or a protocol without ``keep="all"`` and
            ``max_boxes``.

    Example:
        >>> import torch, fastcam
        >>> features = torch.zeros(1, 2, 7, 7)
        >>> features[0, 0, 1:3, 1:3] = features[0, 0, 5, 5] = 1
        >>> protocol = fastcam.PAPER.replace(keep="all", max_boxes=3)
        >>> found = fastcam.localize_padded(features, torch.eye(2), [0], size=(7, 7), protocol=protocol)
        >>> found.boxes[0].tolist(), found.counts.tolist()
        ([[1.0, 1.0, 3.0, 3.0], [5.0, 5.0, 6.0, 6.0], [0.0, 0.0, 0.0, 0.0]], [2])
    """
    _check_protocol(protocol)
    labels = checked_rows(features, weight, index)
    maps = cam(features.detach(), weight.detach(), labels, protocol.clamp_negative)
    return _padded(maps, labels, _one_size(size, features.shape[0]), protocol)


def padded_boxes_from_maps(
    maps: Tensor | npt.NDArray[Any], *, size: Size | None = None, protocol: Protocol
) -> PaddedObjects:
    """Boxes of any library's heat maps, as :func:`boxes_from_maps` with ``keep="all"``, in rows of a fixed number.

    Args:
        maps: (N, h, w), (N, 1, h, w) or (h, w), tensor or NumPy array, floating point or uint8.
        size: (H, W) in pixels that the boxes refer to; by default the maps' own size.
        protocol: with ``keep="all"`` and ``max_boxes``, the number of rows.

    Returns:
        :class:`PaddedObjects`, without labels.

    Raises:
        TypeError: maps of another type, dtype or layout.
        ValueError: maps of another rank or without pixels, several sizes, or a protocol that does not fit.

    Example:
        >>> import numpy as np, fastcam
        >>> heat = np.zeros((8, 8), np.float32)
        >>> heat[2:5, 1:7] = 1
        >>> found = fastcam.padded_boxes_from_maps(heat, protocol=fastcam.PAPER.replace(keep="all", max_boxes=2))
        >>> found.boxes.tolist(), found.is_box.tolist()
        ([[[1.0, 2.0, 7.0, 5.0], [0.0, 0.0, 0.0, 0.0]]], [[True, False]])
    """
    _check_protocol(protocol)
    checked = checked_maps(maps)
    check_units([checked], protocol)
    wanted = (checked.shape[1], checked.shape[2]) if size is None else _one_size(size, checked.shape[0])
    return _padded(checked.to(working_dtype(checked.dtype)), None, wanted, protocol)


def _padded(maps: Tensor, labels: Tensor | None, size: tuple[int, int], protocol: Protocol) -> PaddedObjects:
    """Locate maps (N, h, w) or (N, T, h, w)."""
    shape = maps.shape[:-2]
    parts = locate_padded(maps.flatten(0, -3), *size, *protocol.values)
    boxes, areas, scores, counts, thresholds = (part.reshape(*shape, *part.shape[1:]) for part in parts)
    return PaddedObjects(boxes, areas, scores, counts, thresholds, labels, size, protocol)


def _one_size(size: Size, images: int) -> tuple[int, int]:
    sizes = checked_sizes(size, images)
    if isinstance(sizes, list):
        raise ValueError(f"size must be one (H, W) for all images, got {len(sizes)} of them")
    return sizes


def _check_protocol(protocol: Protocol) -> None:
    if not isinstance(protocol, Protocol):
        raise TypeError(f"protocol must be a fastcam.Protocol, got {protocol!r}")
    if protocol.keep != "all" or protocol.max_boxes is None:
        raise ValueError(
            'protocol must have keep="all" and max_boxes, the number of rows, '
            f"got keep={protocol.keep!r} and max_boxes={protocol.max_boxes}"
        )
