"""Which of N images are meant: one by its number, a slice, numbers, or a mask."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Rows", "chosen_rows"]

Rows = int | slice | Sequence[int] | Sequence[bool] | Tensor | NDArray[Any]
"""One by its number, a slice, numbers (M,), or a mask of N."""


def chosen_rows(images: Rows, count: int) -> int | slice | Tensor:
    """Return an index of images as a number from 0, a slice that tensors take, or numbers (M,) int64 on the CPU.

    Args:
        images: see :data:`Rows`; numbers below 0 count from the end.
        count: how many images there are.

    Raises:
        IndexError: a number out of range, or a mask of another length.
        TypeError: another kind of index.

    Example:
        >>> chosen_rows(-1, 5), chosen_rows([True, False, True], 3).tolist()
        (4, [0, 2])
    """
    if isinstance(images, slice):
        numbers = range(count)[images]
        return images if numbers.step > 0 else torch.tensor(list(numbers), dtype=torch.int64, device="cpu")
    try:
        table = np.asarray(images.cpu() if isinstance(images, Tensor) else images)
    except (TypeError, ValueError):
        table = np.asarray(None)
    if table.size == 0 and isinstance(images, list):
        table = np.zeros(0, np.int64)
    if table.dtype == np.bool_ and table.ndim == 1:
        if len(table) != count:
            raise IndexError(f"a mask of images must have the length of the {count} images, got {len(table)}")
        table = np.flatnonzero(table)
    if table.dtype.kind not in "iu" or table.ndim > 1 or isinstance(images, tuple):
        raise TypeError(
            "images must be a number, a slice, numbers or a mask (N,) of bool; fields are indexed further by "
            f"themselves: found.boxes[...]; got {reprlib.repr(images)}"
        )
    wrong = table[(table < -count) | (table >= count)]
    if wrong.size:
        raise IndexError(f"image {wrong.flat[0]} is out of range: there are {count}")
    rows = table.astype(np.int64) % max(count, 1)
    return torch.from_numpy(rows) if rows.ndim else int(rows)
