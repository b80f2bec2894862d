"""``fastcam::score_levels`` and ``fastcam::score_histogram``: score maps as an evaluator reads them."""

from __future__ import annotations

import torch
from torch import Tensor

from fastcam.ops.arguments import check_edges, check_histogram, check_scores
from fastcam.ops.core import DTYPES, core
from fastcam.ops.tags import TAGS_OF_WAITING
from fastcam.reference import score_maps as reference
from fastcam.reference.normalization import overflow_scale

__all__ = ["IGNORED", "score_histogram", "score_levels"]

IGNORED = 255

_library = torch.library.Library("fastcam", "FRAGMENT")
_library.define("score_levels(Tensor maps, int height, int width, bool raw) -> (Tensor, Tensor)", tags=TAGS_OF_WAITING)
_library.define(
    "score_histogram(Tensor maps, Tensor masks, Tensor edges, bool raw) -> (Tensor, Tensor, Tensor)",
    tags=TAGS_OF_WAITING,
)


def _scores(maps: Tensor, size: tuple[int, int], raw: bool) -> tuple[Tensor, Tensor]:
    """Float64 scores (N, H, W), and whether all scores of a map lie in [0, 1]; the others are not to be used."""
    wide = maps.to(torch.float64)
    if raw:
        wide = reference.normalized(reference.resized(wide * overflow_scale(wide), size))
    inside = ((wide >= 0) & (wide <= 1)).all(dim=2).all(dim=1)
    return wide, inside


def _levels_any_device(maps: Tensor, height: int, width: int, raw: bool) -> tuple[Tensor, Tensor]:
    check_scores(maps, height, width, raw)
    scores, inside = _scores(maps, (height, width), raw)
    return reference.to_levels(torch.where(inside[:, None, None], scores, 0)), inside


def _histogram_any_device(maps: Tensor, masks: Tensor, edges: Tensor, raw: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Counts (2, bins); which maps lie in [0, 1]; which masks hold 0, 1 and 255 alone."""
    check_histogram(maps, masks, edges, raw)
    if edges.device.type == "cpu":
        check_edges(edges)
    scores, inside = _scores(maps, (masks.shape[1], masks.shape[2]), raw)
    known = ((masks <= 1) | (masks == IGNORED)).all(dim=2).all(dim=1)
    return reference.histogram(scores[inside], masks[inside], edges), inside, known


def _levels_empty(maps: Tensor, height: int, width: int, raw: bool) -> tuple[Tensor, Tensor]:
    check_scores(maps, height, width, raw)
    n = maps.shape[0]
    return maps.new_empty((n, height, width), dtype=torch.uint8), maps.new_empty(n, dtype=torch.bool)


def _histogram_empty(maps: Tensor, masks: Tensor, edges: Tensor, raw: bool) -> tuple[Tensor, Tensor, Tensor]:
    check_histogram(maps, masks, edges, raw)
    inside, known = (maps.new_empty(maps.shape[0], dtype=torch.bool) for _ in range(2))
    return maps.new_empty((2, edges.shape[0] - 1), dtype=torch.int64), inside, known


def _levels_cpu(maps: Tensor, height: int, width: int, raw: bool) -> tuple[Tensor, Tensor]:
    found = levels, inside = _levels_empty(maps, height, width, raw)
    maps = _read(maps)
    core.score_levels(
        maps.data_ptr(),
        DTYPES[maps.dtype],
        raw,
        len(maps),
        (maps.shape[1], maps.shape[2]),
        (height, width),
        levels.data_ptr(),
        inside.data_ptr(),
        torch.get_num_threads(),
    )
    return found


def _histogram_cpu(maps: Tensor, masks: Tensor, edges: Tensor, raw: bool) -> tuple[Tensor, Tensor, Tensor]:
    found = counts, inside, known = _histogram_empty(maps, masks, edges, raw)
    check_edges(edges)
    maps, masks, edges = _read(maps), masks.contiguous(), edges.contiguous()
    core.score_histogram(
        maps.data_ptr(),
        DTYPES[maps.dtype],
        raw,
        len(maps),
        (maps.shape[1], maps.shape[2]),
        (masks.shape[1], masks.shape[2]),
        masks.data_ptr(),
        edges.data_ptr(),
        len(edges) - 3,
        counts.zero_().data_ptr(),
        inside.data_ptr(),
        known.data_ptr(),
        torch.get_num_threads(),
    )
    return found


def _read(maps: Tensor) -> Tensor:
    """Contiguous, float32 or float64."""
    return (maps if maps.dtype == torch.float64 else maps.to(torch.float32)).contiguous()


torch.library.register_fake("fastcam::score_levels", _levels_empty)
torch.library.register_fake("fastcam::score_histogram", _histogram_empty)
_library.impl("score_levels", _levels_any_device, "CompositeExplicitAutograd")
_library.impl("score_histogram", _histogram_any_device, "CompositeExplicitAutograd")
if core is not None:
    _library.impl("score_levels", _levels_cpu, "CPU")
    _library.impl("score_histogram", _histogram_cpu, "CPU")
score_levels = torch.ops.fastcam.score_levels.default
score_histogram = torch.ops.fastcam.score_histogram.default
