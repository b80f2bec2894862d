"""Image sizes as arguments: one for all images, or one an image; and the largest that can be held.

Whatever has rows and columns here, masks, maps and features alike, has sides of at most ``LONGEST_SIDE``, because boxes
are float32, which holds whole numbers up to 2^24. A map has at most ``MOST_PIXELS``, because its pixels are counted in
32 bits; a mask, whose components are numbered in 32 bits, ``MOST_PIXELS_OF_MASK``. Maps that are swept over all
thresholds have sides of at most ``LONGEST_SIDE_OF_SWEEP``, because the sweep keeps a place in 16 bits.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

__all__ = [
    "LONGEST_SIDE",
    "LONGEST_SIDE_OF_SWEEP",
    "MOST_PIXELS",
    "MOST_PIXELS_OF_MASK",
    "Size",
    "Sizes",
    "checked_size",
    "checked_sizes",
    "fits",
    "limits",
]

Size = tuple[int, int] | Sequence[int]
"""(H, W) in pixels, as users give it."""

Sizes = tuple[int, int] | list[tuple[int, int]]
"""One (H, W) for all images, or a list of one (H, W) an image."""

LONGEST_SIDE: Final = 1 << 24
MOST_PIXELS: Final = 1 << 30
MOST_PIXELS_OF_MASK: Final = 1 << 32
LONGEST_SIDE_OF_SWEEP: Final = (1 << 16) - 1


def fits(height: int, width: int, most: int = MOST_PIXELS) -> bool:
    """Whether there is a pixel, and sides and pixels can be held."""
    return 0 < height <= LONGEST_SIDE and 0 < width <= LONGEST_SIDE and height * width <= most


def limits(most: int = MOST_PIXELS) -> str:
    """The limits that :func:`fits` knows, in words."""
    power = most.bit_length() - 1
    return f"each at least 1 and at most 2^24 (boxes are float32), and at most 2^{power} pixels in all"


def checked_sizes(size: Any, images: int) -> Sizes:  # noqa: ANN401
    """One (H, W), or a list of one (H, W) for each of the images."""
    # Not written out before it is needed: while a graph is traced, the number of images is none yet.
    wanted = partial("size must be (H, W), or one (H, W) for each of the {} images".format, images)
    try:
        items = list(size)
    except TypeError as error:
        raise TypeError(f"{wanted()}, got {size!r}") from error
    if len(items) == 2 and not any(hasattr(item, "__len__") and getattr(item, "ndim", 1) for item in items):
        return checked_size(items, wanted)
    if len(items) != images:
        raise ValueError(f"{wanted()}, got {len(items)} of them")
    return [checked_size(item, wanted) for item in items]


def checked_size(
    size: Any,  # noqa: ANN401
    wanted: str | Callable[[], str] = "size must be (H, W)",
    most: int = MOST_PIXELS,
) -> tuple[int, int]:
    """One (H, W) as integers, with at most so many pixels; errors begin with what is wanted."""
    try:
        height, width = (operator.index(length) for length in size)
    except TypeError as error:
        raise TypeError(f"{_written(wanted)}, in whole pixels, got {size!r}") from error
    except ValueError as error:
        raise ValueError(f"{_written(wanted)}, each at least 1, got {size!r}") from error
    if not fits(height, width, most):
        raise ValueError(f"{_written(wanted)}, {limits(most)}, got {(height, width)}")
    return height, width


def _written(wanted: str | Callable[[], str]) -> str:
    return wanted if isinstance(wanted, str) else wanted()
