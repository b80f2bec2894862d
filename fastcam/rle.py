"""Masks as COCO has them: run lengths, column by column, compressed as pycocotools compresses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Rle", "decode", "encode"]

Rle = dict[str, Any]
"""``size``, [H, W], and ``counts``: compressed (bytes, or a str as in JSON), or a list of numbers."""

_CHUNK = 5  # bits of a number in each character
_FIRST = 48  # the character of 0
_LONGEST = 12  # groups in a number of 64 bits


def encode(masks: Tensor, *, compressed: bool = True) -> list[Rle]:
    """Say masks as run lengths, exactly as ``pycocotools.mask.encode`` does.

    The pixels are read column by column. The first number counts those before the first that is set, the next the set
    ones that follow, and so on. Compressed, each number from the fourth on is its difference from the second before it;
    it is written in groups of 5 bits, the lowest first, as the character ``48 + group``, with bit 5 set where another
    follows and the sign in the highest bit of the last.

    Args:
        masks: (N, H, W) bool.
        compressed: False for lists of numbers.

    Returns:
        N dictionaries of ``size`` and ``counts``; bytes, which ``.decode()`` makes what JSON takes.

    Example:
        >>> mask = torch.tensor([[False, True, True], [False, True, False]])
        >>> encode(mask[None]), encode(mask[None], compressed=False)
        ([{'size': [2, 3], 'counts': b'231'}], [{'size': [2, 3], 'counts': [2, 3, 1]}])
    """
    n, height, width = masks.shape
    columns = masks.detach().cpu().permute(0, 2, 1).reshape(n, height * width).numpy()
    each = [_counts(pixels) for pixels in columns]
    size = [height, width]
    return [{"size": list(size), "counts": _compressed(counts) if compressed else counts.tolist()} for counts in each]


def decode(rles: Sequence[Mapping[str, Any]]) -> Tensor:
    """Return masks (N, H, W) bool from run lengths of one size, compressed or not.

    Raises:
        TypeError: something else than run lengths.
        ValueError: masks of several sizes, or run lengths that do not fill their mask; the message says which.

    Example:
        >>> decode([{"size": [2, 3], "counts": "231"}, {"size": [2, 3], "counts": [2, 3, 1]}]).int().tolist()
        [[[0, 1, 1], [0, 1, 0]], [[0, 1, 1], [0, 1, 0]]]
    """
    for i, rle in enumerate(rles):
        if not isinstance(rle, Mapping) or not {"size", "counts"} <= set(rle):
            raise TypeError(f"masks[{i}] must be run lengths, a dictionary of size and counts, got {rle!r}")
    sizes = {tuple(int(length) for length in rle["size"]) for rle in rles}
    if len(sizes) != 1:
        raise ValueError(f"run lengths must be of one size, got {sorted(sizes) or 'none'}")
    height, width = next(iter(sizes))
    masks = np.empty((len(rles), width, height), bool)
    for i, rle in enumerate(rles):
        counts = rle["counts"]
        if isinstance(counts, (str, bytes)):
            counts = _expanded(counts.encode("ascii") if isinstance(counts, str) else counts, i)
        numbers = np.asarray(counts, np.int64)
        if numbers.ndim != 1 or (numbers < 0).any() or numbers.sum() != height * width:
            raise ValueError(f"masks[{i}] must have run lengths of {height * width} pixels in all, got {rle!r}")
        masks[i] = np.repeat(np.arange(len(numbers)) % 2 == 1, numbers).reshape(width, height)
    return torch.from_numpy(masks).permute(0, 2, 1).contiguous()


def _counts(pixels: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Lengths of the runs of unset and set pixels in turn, the first of them unset."""
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    edges = np.concatenate([[0], [0] if len(pixels) and pixels[0] else [], changes, [len(pixels)]]).astype(np.int64)
    return np.diff(edges)


def _compressed(counts: NDArray[np.int64]) -> bytes:
    numbers = counts.copy()
    numbers[3:] -= counts[1:-2]
    groups = []
    more = np.ones(len(numbers), bool)
    while more.any():
        group = numbers & 0x1F
        numbers = numbers >> _CHUNK
        # The rest is nothing but the sign, which the group's highest bit says already.
        follows = more & (numbers != np.where(group & 0x10, -1, 0))
        groups.append(np.where(more, group + _FIRST + np.where(follows, 0x20, 0), 0))
        more = follows
    table = np.stack(groups, axis=1) if groups else np.zeros((0, 1))
    characters = table[table > 0].astype(np.uint8)
    return characters.tobytes()


def _expanded(counts: bytes, mask: int) -> NDArray[np.int64]:
    groups = np.frombuffer(counts, np.uint8).astype(np.int64) - _FIRST
    if ((groups < 0) | (groups >= 0x40)).any():
        raise ValueError(f"masks[{mask}] must have compressed run lengths, got counts={counts!r}")
    last = np.flatnonzero(groups & 0x20 == 0)
    if len(groups) and groups[-1] & 0x20:
        raise ValueError(f"masks[{mask}] must have whole run lengths, got counts={counts!r}")
    first = np.concatenate([[0], last[:-1] + 1]).astype(np.int64)[: len(last)]
    lengths = last - first + 1
    if (lengths > _LONGEST).any():
        raise ValueError(f"masks[{mask}] must have run lengths of at most 64 bits, got counts={counts!r}")
    places = np.arange(len(groups)) - np.repeat(first, lengths)
    numbers = np.add.reduceat((groups & 0x1F) << (_CHUNK * places), first) if len(first) else first
    numbers = numbers - ((groups[last] >> 4 & 1) << (_CHUNK * lengths))
    # Each from the fourth on is what it adds to the second before it.
    numbers[1::2] = numbers[1::2].cumsum()
    numbers[2::2] = numbers[2::2].cumsum()
    return numbers
