"""Image sizes as arguments: one for all images, or one an image."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

__all__ = ["Size", "Sizes", "checked_size", "checked_sizes"]

Size = tuple[int, int] | Sequence[int]
"""(H, W) in pixels, as users give it."""

Sizes = tuple[int, int] | list[tuple[int, int]]
"""One (H, W) for all images, or a list of one (H, W) an image."""

_MOST_PIXELS = 1 << 30  # so that the compiled core can count pixels in 32 bits


def checked_sizes(size: Any, images: int) -> Sizes:  # noqa: ANN401
    """One (H, W), or a list of one (H, W) for each of the images."""
    wanted = f"size must be (H, W), or one (H, W) for each of the {images} images"
    try:
        items = list(size)
    except TypeError as error:
        raise TypeError(f"{wanted}, got {size!r}") from error
    if len(items) == 2 and not any(hasattr(item, "__len__") and getattr(item, "ndim", 1) for item in items):
        return checked_size(items, wanted)
    if len(items) != images:
        raise ValueError(f"{wanted}, got {len(items)} of them")
    return [checked_size(item, wanted) for item in items]


def checked_size(size: Any, wanted: str = "size must be (H, W)") -> tuple[int, int]:  # noqa: ANN401
    """One (H, W) as integers; errors begin with what is wanted."""
    try:
        height, width = (operator.index(length) for length in size)
    except TypeError as error:
        raise TypeError(f"{wanted}, in whole pixels, got {size!r}") from error
    except ValueError as error:
        raise ValueError(f"{wanted}, each at least 1, got {size!r}") from error
    if height < 1 or width < 1 or height * width > _MOST_PIXELS:
        raise ValueError(f"{wanted}, each at least 1 and at most 2^30 pixels in all, got {(height, width)}")
    return height, width
