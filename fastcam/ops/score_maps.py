"""``fastcam::score_levels`` and ``fastcam::score_histogram``, what an evaluator reads of score maps."""

from __future__ import annotations

import torch
from torch import Tensor

from fastcam.reference import score_maps as reference

__all__ = ["score_histogram", "score_levels"]

_library = torch.library.Library("fastcam", "FRAGMENT")
_tags = (torch.Tag.pt2_compliant_tag,)
_library.define("score_levels(Tensor maps, int height, int width, bool raw) -> (Tensor, Tensor)", tags=_tags)
_library.define(
    "score_histogram(Tensor maps, Tensor masks, Tensor edges, bool raw) -> (Tensor, Tensor)",
    tags=_tags,
)


def _scores(maps: Tensor, size: tuple[int, int], raw: bool) -> tuple[Tensor, Tensor]:
    """Float64 scores (N, H, W), and whether all of a map's lie in [0, 1]; those of other maps are zeros."""
    wide = maps.to(torch.float64)
    if raw:
        wide = reference.normalized(reference.resized(wide, size))
    inside = ((wide >= 0) & (wide <= 1)).all(dim=2).all(dim=1)
    return torch.where(inside[:, None, None], wide, 0), inside


def _levels_any_device(maps: Tensor, height: int, width: int, raw: bool) -> tuple[Tensor, Tensor]:
    scores, inside = _scores(maps, (height, width), raw)
    return reference.to_levels(scores), inside


def _histogram_any_device(maps: Tensor, masks: Tensor, edges: Tensor, raw: bool) -> tuple[Tensor, Tensor]:
    scores, inside = _scores(maps, (masks.shape[1], masks.shape[2]), raw)
    return reference.histogram(scores, masks, edges), inside


def _levels_empty(maps: Tensor, height: int, width: int, raw: bool) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    n = maps.shape[0]
    return maps.new_empty((n, height, width), dtype=torch.uint8), maps.new_empty(n, dtype=torch.bool)


def _histogram_empty(maps: Tensor, masks: Tensor, edges: Tensor, raw: bool) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    return maps.new_empty((2, edges.shape[0] - 1), dtype=torch.int64), maps.new_empty(maps.shape[0], dtype=torch.bool)


torch.library.register_fake("fastcam::score_levels", _levels_empty)
torch.library.register_fake("fastcam::score_histogram", _histogram_empty)
_library.impl("score_levels", _levels_any_device, "CompositeExplicitAutograd")
_library.impl("score_histogram", _histogram_any_device, "CompositeExplicitAutograd")
score_levels = torch.ops.fastcam.score_levels.default
score_histogram = torch.ops.fastcam.score_histogram.default
