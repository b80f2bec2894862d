"""From features or heat maps to boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastcam.activation import Index, checked_rows
from fastcam.ops import localization as ops
from fastcam.ops.activation import cam, shape_of_maps
from fastcam.protocol import PAPER, Protocol
from fastcam.sizes import Size, checked_sizes

__all__ = ["Localization", "boxes_from_maps", "localize"]


@dataclass(frozen=True)
class Localization:
    """What was found in N images, for one class each or, where the index was (N, T), for T classes each.

    Everything is on the features' device.

    Attributes:
        boxes: (N[, T], 4) float32, x0, y0, x1, y1 in pixels of ``size``, half-open unless the protocol says otherwise.
        areas: (N[, T]) of the largest component; int64 pixels, or float64 polygon areas.
        thresholds: (N[, T]) float32, in the units of the maps; NaN where a map holds a NaN.
        labels: (N[, T]) int64, the classes; None where none were given.
        scores: (N[, T]) float32, the classes' probabilities; None where no logits were at hand.
        maps: (N[, T], H, W) float32, or uint8 levels where the protocol quantizes; a list of N where ``size`` differs
            by image; None unless asked for.
        masks: likewise, bool: ``maps > thresholds``.
    """

    boxes: Tensor
    areas: Tensor
    thresholds: Tensor
    labels: Tensor | None = None
    scores: Tensor | None = None
    maps: Tensor | list[Tensor] | None = None
    masks: Tensor | list[Tensor] | None = None

    def __len__(self) -> int:
        """Return the number of images, N."""
        return len(self.boxes)

    def to_coco(
        self, image_ids: Sequence[int] | None = None, category_ids: Mapping[int, int] | Sequence[int] | None = None
    ) -> list[dict[str, Any]]:
        """COCO results: a dictionary a box with ``image_id``, ``category_id``, ``bbox`` (x, y, w, h) and ``score``.

        Args:
            image_ids: the ids of the N images; 0, 1, ... by default.
            category_ids: the category id of each label; the labels themselves by default.

        Raises:
            ValueError: ``image_ids`` of another length than N, or no labels to take categories from.

        Example:
            >>> import torch, fastcam
            >>> heat = torch.zeros(1, 4, 4)
            >>> heat[0, 1:3, 1:4] = 1
            >>> found = fastcam.boxes_from_maps(heat)
            >>> import dataclasses
            >>> dataclasses.replace(found, labels=torch.tensor([7])).to_coco()
            [{'image_id': 0, 'category_id': 7, 'bbox': [1.0, 1.0, 3.0, 2.0], 'score': 1.0}]
        """
        if self.labels is None:
            raise ValueError("to_coco needs labels, got a Localization without; set them with dataclasses.replace")
        ids = list(range(len(self))) if image_ids is None else list(image_ids)
        if len(ids) != len(self):
            raise ValueError(f"image_ids must have the length of the {len(self)} images, got {len(ids)}")
        results = []
        for image, found in zip(ids, self.to_torchmetrics(), strict=True):
            columns = (found[key].tolist() for key in ("boxes", "labels", "scores"))
            for (x0, y0, x1, y1), label, score in zip(*columns, strict=True):
                category = label if category_ids is None else category_ids[label]
                results.append(
                    {"image_id": image, "category_id": category, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score}
                )
        return results

    def to_torchmetrics(self) -> list[dict[str, Tensor]]:
        """What torchmetrics' detection metrics take: for each image ``boxes`` (T, 4), ``scores`` and ``labels`` (T,).

        A score that is not known is 1, a label that is not known 0.
        """
        shape = self.areas.shape
        labels = torch.zeros(shape, dtype=torch.int64, device=self.boxes.device) if self.labels is None else self.labels
        scores = torch.ones(shape, device=self.boxes.device) if self.scores is None else self.scores
        per_image = (
            part if part.ndim > ndim else part[:, None] for part, ndim in ((self.boxes, 2), (scores, 1), (labels, 1))
        )
        return [{"boxes": b, "scores": s, "labels": k} for b, s, k in zip(*per_image, strict=True)]


def localize(
    features: Tensor,
    weight: Tensor,
    index: Index | None = None,
    *,
    size: Size | Sequence[Size],
    protocol: Protocol = PAPER,
    percentile: float | None = None,
    threshold: float | None = None,
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
        ``int(theta * np.percentile(levels, percentile))``. A map with a NaN gives an empty box.

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
    sizes = checked_sizes(size, len(features))
    if isinstance(sizes, tuple):
        options = _options(chosen, return_maps, return_masks)
        parts = ops.localize(features.detach(), weight.detach(), labels, chosen.clamp_negative, *sizes, *options)
        return _shaped(_asked_for(parts, return_maps, return_masks), shape_of_maps(weight, labels), labels)
    maps = cam(features.detach(), weight.detach(), labels, chosen.clamp_negative)
    per_image = 1 if maps.ndim == 3 else maps.shape[1]
    flat = maps.reshape(-1, *maps.shape[-2:])
    each = [one for one in sizes for _ in range(per_image)] if per_image else sizes[0]
    found = _located(flat, each, chosen, return_maps, return_masks)
    return _shaped(found, maps.shape[:-2], labels)


def boxes_from_maps(
    maps: Tensor | npt.NDArray[Any] | Sequence[Tensor | npt.NDArray[Any]],
    *,
    size: Size | Sequence[Size] | None = None,
    protocol: Protocol = PAPER,
) -> Localization:
    """Boxes from any library's heat maps.

    Args:
        maps: (N, h, w) or (h, w), tensor or NumPy array, floating point or uint8; or a list of them, whose sizes may
            differ (torch-cam returns one, captum a tensor, pytorch-grad-cam an array).
        size: (H, W) in pixels that the boxes refer to, or one an image; by default the maps' own size.
        protocol: how a map becomes a box; ``clamp_negative`` has nothing to act on.

    Returns:
        :class:`Localization` for N images, without labels and scores.

    Raises:
        TypeError: maps of another type or dtype.
        ValueError: maps of another rank or without pixels, or a size that does not fit.

    Example:
        >>> import numpy as np, fastcam
        >>> heat = np.zeros((8, 8), np.float32)
        >>> heat[2:5, 1:7] = 1
        >>> fastcam.boxes_from_maps(heat).boxes
        tensor([[1., 2., 7., 5.]])
    """
    chosen = _overridden(protocol, None, None)
    several = [_checked_maps(one) for one in (maps if isinstance(maps, Sequence) else [maps])]
    if chosen.quantize and chosen.normalize == "none" and any(one.dtype == torch.uint8 for one in several):
        raise ValueError(
            "protocol.quantize without normalize takes maps in [0, 1], got uint8 maps; "
            'divide them by 255, or use normalize="max"'
        )
    several = [one for one in several if len(one)] or several[:1] or [torch.zeros(0, 1, 1)]
    images = sum(map(len, several))
    if len({one.shape[1:] for one in several}) == 1 and len({one.device for one in several}) == 1:
        alike = [one.to(torch.float32) for one in several]
        flat = alike[0] if len(alike) == 1 else torch.cat(alike)
        sizes = (flat.shape[1], flat.shape[2]) if size is None else checked_sizes(size, images)
        return _shaped(_located(flat, sizes, chosen, False, False), flat.shape[:1], None)
    single = [one[i : i + 1] for one in several for i in range(len(one))]
    wanted = [(one.shape[1], one.shape[2]) for one in single] if size is None else checked_sizes(size, images)
    each = wanted if isinstance(wanted, list) else [wanted] * images
    parts = [_located(one, at, chosen, False, False) for one, at in zip(single, each, strict=True)]
    boxes, areas, thresholds = (torch.cat([part[i].to(single[0].device) for part in parts]) for i in range(3))
    return Localization(boxes, areas, thresholds)


_Located = tuple[Tensor, Tensor, Tensor, Any, Any]


def _located(
    maps: Tensor, sizes: tuple[int, int] | list[tuple[int, int]], protocol: Protocol, with_maps: bool, with_masks: bool
) -> _Located:
    """Boxes, areas, thresholds, and maps and masks or None, of maps (N, h, w)."""

    def at(some: Tensor, size: tuple[int, int]) -> _Located:
        found = ops.locate(some, *size, *_options(protocol, with_maps, with_masks))
        return _asked_for(found, with_maps, with_masks)

    if isinstance(sizes, tuple):
        return at(maps, sizes)
    order: dict[tuple[int, int], list[int]] = {}
    for i, size in enumerate(sizes):
        order.setdefault(size, []).append(i)
    pieces: list[Any] = [None] * len(sizes)
    for size, numbers in order.items():
        found = at(maps[torch.tensor(numbers, device=maps.device)], size)
        for row, i in enumerate(numbers):
            pieces[i] = tuple(part if part is None else part[row] for part in found)
    if not pieces:
        empty = at(maps, (1, 1))
        return (*empty[:3], [] if with_maps else None, [] if with_masks else None)
    boxes, areas, thresholds, full, masks = zip(*pieces, strict=True)
    stacked = torch.stack(boxes), torch.stack(areas), torch.stack(thresholds)
    return (*stacked, list(full) if with_maps else None, list(masks) if with_masks else None)


def _options(protocol: Protocol, with_maps: bool, with_masks: bool) -> tuple[Any, ...]:
    """What the operators take after the size."""
    return (
        protocol.interpolation,
        protocol.normalize,
        protocol.quantize,
        protocol.percentile,
        protocol.threshold,
        protocol.area == "polygon",
        protocol.connectivity,
        protocol.box_end == "clipped",
        protocol.empty == "image",
        with_maps,
        with_masks,
    )


def _asked_for(found: tuple[Tensor, ...], with_maps: bool, with_masks: bool) -> _Located:
    return (*found[:3], found[3] if with_maps else None, found[4] if with_masks else None)  # type: ignore[return-value]


def _shaped(found: _Located, shape: Sequence[int], labels: Tensor | None) -> Localization:
    """Give flat results their leading shape (N,) or (N, T); of lists, stack the T of an image."""

    def grouped(part: Any) -> Any:  # noqa: ANN401
        if part is None or len(shape) == 1:
            return part
        if isinstance(part, Tensor):
            return part.reshape(*shape, *part.shape[1:])
        n, t = shape
        return [torch.stack(part[i : i + t]) for i in range(0, n * t, t)]

    boxes, areas, thresholds, maps, masks = map(grouped, found)
    return Localization(boxes, areas, thresholds, labels=labels, maps=maps, masks=masks)


def _overridden(protocol: Protocol, percentile: float | None, threshold: float | None) -> Protocol:
    if not isinstance(protocol, Protocol):
        raise TypeError(f"protocol must be a fastcam.Protocol, got {protocol!r}")
    given = {"percentile": percentile, "threshold": threshold}
    changes = {name: value for name, value in given.items() if value is not None}
    return protocol.replace(**changes) if changes else protocol


def _checked_maps(maps: Tensor | npt.NDArray[Any]) -> Tensor:
    if isinstance(maps, np.ndarray):
        if maps.dtype.kind != "f" and maps.dtype != np.uint8:
            raise TypeError(f"maps must be floating point or uint8, got {maps.dtype}")
        with np.errstate(over="ignore"):
            maps = torch.from_numpy(np.array(maps, dtype=np.uint8 if maps.dtype == np.uint8 else np.float32))
    if not isinstance(maps, Tensor):
        raise TypeError(f"maps must be a tensor, an array or a list of them, got {type(maps).__name__}")
    if not maps.dtype.is_floating_point and maps.dtype != torch.uint8:
        raise TypeError(f"maps must be floating point or uint8, got {maps.dtype}")
    if maps.ndim == 2:
        maps = maps[None]
    if maps.ndim != 3 or 0 in maps.shape[1:]:
        raise ValueError(f"maps must be (N, h, w) or (h, w) with h and w at least 1, got shape {tuple(maps.shape)}")
    return maps.detach()
