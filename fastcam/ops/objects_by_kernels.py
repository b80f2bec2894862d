"""All boxes of maps where the maps are: in as many rows as there are boxes, or in so many rows a map."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import torch
from torch import Tensor

from fastcam.ops.masks import binarize, unpack
from fastcam.ops.options import protocol_of
from fastcam.ops.results import area_dtype
from fastcam.protocol import Protocol
from fastcam.reference.masks import working_dtype

__all__ = ["clipped", "padded_by_kernels", "ragged_by_kernels", "values_with"]

_PIXELS: Final = 1 << 28  # of full-size maps that are worked on together: a gigabyte


def values_with(protocol: Protocol, **changes: object) -> tuple[Any, ...]:
    """Return ``Protocol.values`` with some of them changed."""
    names = (field.name for field in dataclasses.fields(protocol))
    return tuple((dict(zip(names, protocol.values, strict=True)) | changes).values())


def clipped(boxes: Tensor, height: int, width: int, protocol: Protocol) -> Tensor:
    """Half-open boxes (..., 4) with the ends that the protocol asks for."""
    if protocol.box_end != "clipped":
        return boxes
    # By numbers and not by tensors of them, which a GPU would have to be waited for.
    begin, x1, y1 = boxes.split([2, 1, 1], dim=-1)
    return torch.cat((begin, x1.clamp(max=width - 1), y1.clamp(max=height - 1)), dim=-1)


def _binarized(maps: Tensor, height: int, width: int, protocol: Protocol) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return packed masks, thresholds and full-size maps, and what the peak of a box must exceed."""
    packed, thresholds, full = binarize(maps, height, width, *protocol.values, True)
    least = thresholds
    if protocol.high_threshold is not None:
        high = values_with(protocol, threshold=protocol.high_threshold, high_threshold=None)
        least = binarize(maps, height, width, *high, False)[1]
    return packed, thresholds, full, least


def _rows(maps: Tensor, rows: int, protocol: Protocol) -> dict[str, Tensor]:
    """Zeros for so many boxes, areas and scores."""
    return {
        "boxes": maps.new_zeros((rows, 4), dtype=torch.int32),
        "areas": maps.new_zeros(rows, dtype=area_dtype(protocol.area)),
        "scores": maps.new_zeros(rows, dtype=working_dtype(maps.dtype)),
    }


def padded_by_kernels(maps: Tensor, height: int, width: int, *values: Any) -> tuple[Tensor, ...]:  # noqa: ANN401
    """Return the first ``max_boxes`` of each map, and how many there are, without a wait.

    Boxes (N, K, 4) float32, areas (N, K), scores (N, K), counts (N,) int64, thresholds (N,).
    """
    protocol = protocol_of(*values)
    n, room = len(maps), protocol.max_boxes
    assert room is not None
    together = max(1, _PIXELS // (height * width))
    rows = _rows(maps, n * room, protocol)
    counts = maps.new_zeros(n, dtype=torch.int64)
    thresholds = maps.new_empty(n, dtype=working_dtype(maps.dtype))
    for first in range(0, n, together):
        some = slice(first, first + together)
        packed, thresholds[some], full, least = _binarized(maps[some], height, width, protocol)
        of_some = {name: part[first * room : (first + together) * room] for name, part in rows.items()}
        begins = torch.arange(len(packed), device=maps.device) * room
        _launch(packed, full, protocol, room, True, least, begins, counts[some], of_some)
    boxes = clipped(rows["boxes"].float().view(n, room, 4), height, width, protocol)
    return boxes, rows["areas"].view(n, room), rows["scores"].view(n, room), counts, thresholds


def ragged_by_kernels(maps: Tensor, height: int, width: int, *options: Any) -> tuple[Tensor, ...]:  # noqa: ANN401
    """Return what ``fastcam::locate_all`` does; the host waits once, for the number of boxes."""
    together = max(1, _PIXELS // (height * width))
    parts = [_ragged(maps[i : i + together], height, width, *options) for i in range(0, max(len(maps), 1), together)]
    if len(parts) == 1:
        return parts[0]
    columns = list(zip(*parts, strict=True))
    columns[3] = tuple(numbers + i * together for i, numbers in enumerate(columns[3]))
    return tuple(torch.cat(column) for column in columns)


def _ragged(maps: Tensor, height: int, width: int, *options: Any) -> tuple[Tensor, ...]:  # noqa: ANN401
    *values, with_maps, with_masks = options
    protocol = protocol_of(*values)
    packed, thresholds, full, least = _binarized(maps, height, width, protocol)
    counts = maps.new_zeros(len(maps), dtype=torch.int64)
    _launch(packed, full, protocol, 0, False, least, torch.zeros_like(counts), counts, _rows(maps, 0, protocol))
    kept = counts if protocol.max_boxes is None else counts.clamp(max=protocol.max_boxes)
    total, wanted = torch.stack((counts.sum(), kept.sum())).tolist()
    rows = _rows(maps, total, protocol)
    begins = counts.cumsum(0) - counts
    if total:
        _launch(packed, full, protocol, total, False, least, begins, counts.clone(), rows)
    chosen, numbers = _in_order(rows, counts, begins, kept, wanted, protocol)
    masks = unpack(packed, width).contiguous() if with_masks else packed.new_empty((0, height, width), dtype=torch.bool)
    return (
        clipped(rows["boxes"][chosen].float(), height, width, protocol),
        rows["areas"][chosen],
        rows["scores"][chosen],
        numbers,
        thresholds,
        full if with_maps else full[:0],
        masks,
    )


def _in_order(
    rows: dict[str, Tensor], counts: Tensor, begins: Tensor, kept: Tensor, wanted: int, protocol: Protocol
) -> tuple[Tensor, Tensor]:
    """Which of the rows are kept, in the protocol's order, and the numbers of their maps."""
    total, maps = len(rows["boxes"]), torch.arange(len(counts), device=counts.device)
    order = torch.arange(total, device=counts.device)
    if protocol.order == "largest" and protocol.area == "polygon":
        order = order.flip(0)  # of equal ones the last
    rank = rows["areas" if protocol.order == "largest" else "scores"]
    order = order[rank[order].argsort(descending=True, stable=True)]
    of_all = maps.repeat_interleave(counts, output_size=total)
    order = order[of_all[order].argsort(stable=True)]
    numbers = maps.repeat_interleave(kept, output_size=wanted)
    place = torch.arange(wanted, device=counts.device) - (kept.cumsum(0) - kept)[numbers]
    return order[begins[numbers] + place], numbers


def _launch(
    packed: Tensor,
    full: Tensor,
    protocol: Protocol,
    room: int,
    ranked: bool,
    least: Tensor,
    begins: Tensor,
    counts: Tensor,
    rows: dict[str, Tensor],
) -> None:
    if len(packed) == 0:
        return
    from fastcam.kernels.objects import objects

    objects(packed, full, protocol, room, ranked=ranked, least=least, begins=begins, counts=counts, **rows)
