"""Joining the fields of several results: what :meth:`Localization.cat` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

__all__ = ["joined_field", "joined_sizes"]

_Size = tuple[int, int]


def joined_sizes(sizes: Sequence[_Size | None]) -> _Size | tuple[_Size, ...] | None:
    """Join the sizes of all images: one for all where they are the same; None where one is not known.

    Example:
        >>> joined_sizes([(3, 4), (3, 4)]), joined_sizes([(3, 4), (5, 6)]), joined_sizes([(3, 4), None])
        ((3, 4), ((3, 4), (5, 6)), None)
    """
    known = tuple(size for size in sizes if size is not None)
    if len(known) < len(sizes):
        return None
    return known[0] if len(set(known)) == 1 else known


def joined_field(name: str, parts: Sequence[Any]) -> Any:  # noqa: ANN401
    """Join one field of several results; what it is missing from, or another dtype, device or shape, is an error."""
    if all(part is None for part in parts):
        return None
    if any(part is None for part in parts):
        raise ValueError(f"results must have the same fields, got {name} in some of them only")
    tensors = [one for part in parts for one in (part if isinstance(part, list) else [part])]
    for what in ("device", "dtype"):
        kinds = {str(getattr(one, what)) for one in tensors}
        if len(kinds) > 1:
            raise ValueError(f"results must be of one {what}, got {name} of {' and '.join(sorted(kinds))}")
    by_size = name in ("maps", "masks")
    if by_size and (any(isinstance(part, list) for part in parts) or len({one.shape[1:] for one in tensors}) > 1):
        return [one for part in parts for one in part]
    if len({one.shape[1:] for one in tensors}) > 1:
        shapes = " and ".join(str(tuple(one.shape)) for one in tensors)
        raise ValueError(f"results must have the same number of classes, got {name} of shapes {shapes}")
    return torch.cat(tensors)
