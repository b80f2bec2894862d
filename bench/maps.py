"""Seeded inputs: feature maps, class activation maps and masks, smooth and noisy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import cycle
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastcam import PackedMasks

__all__ = ["MASKS", "cell_maps", "classifier", "features", "masks", "packed_in_turn", "texture_of", "uint8_in_turn"]

# Twice a large third-level cache: what comes round again has been evicted.
_BYTES_IN_TURN: Final = 64 << 20
_DISTINCT: Final = 256
_MOST_IN_TURN: Final = 1024
_CLASSES: Final = 1000

MASKS: Final = ("smooth", "clean", "noise 0.1", "noise 0.3", "noise 0.5")


def texture_of(data: str) -> float:
    """The amplitude of the noise on the bumps, whose own is about 1, that gives the masks of the study their shape."""
    return {"smooth": 0.33, "clean": 0.0}[data]


def cell_maps(data: str, count: int, side: int, seed: int = 0) -> Tensor:
    """Class activation maps (count, side, side): three to eight bumps with some texture, or ``"noisy"`` cells."""
    rng = np.random.default_rng(seed)
    if data == "noisy":
        return torch.from_numpy(rng.random((count, side, side), np.float32) ** 4)
    at = (np.arange(side, dtype=np.float32) + 0.5) * 14 / side
    maps = texture_of(data) * rng.random((count, side, side), np.float32)
    for one in maps:
        for _ in range(rng.integers(3, 9)):
            y, x = rng.random(2) * 14
            width, height = rng.uniform(1.2, 2), rng.uniform(0.5, 1)
            one += height * np.exp(-((at[:, None] - y) ** 2 + (at - x) ** 2) / (2 * width**2)).astype(np.float32)
    return torch.from_numpy(maps)


def features(data: str, images: int, channels: int, side: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Batches (images, channels, side, side) to take in turn, behind a ReLU, whose maps are those of `cell_maps`."""
    bytes_each = channels * side * side * dtype.itemsize
    batches = min(max(1, -(-_BYTES_IN_TURN // (bytes_each * images))), _MOST_IN_TURN)
    count = batches * images
    bases = cell_maps(data, min(count, _DISTINCT), side)
    random = torch.Generator().manual_seed(1)
    noise = 0.1 * torch.randn(8, channels, side, side, generator=random)
    every = torch.empty(count, channels, side, side, dtype=dtype)
    for i, one in enumerate(every):
        gain = torch.rand(channels, 1, 1, generator=random)
        one.copy_(torch.addcmul(noise[i % len(noise)], gain, bases[i % len(bases)]).relu_())
    return list(every.split(images))


def classifier(images: int, channels: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Weights (classes, channels) and a class for each image."""
    random = torch.Generator().manual_seed(2)
    weight = torch.randn(_CLASSES, channels, generator=random).to(dtype)
    return weight, torch.randint(_CLASSES, (images,), generator=random)


@lru_cache(maxsize=2)
def masks(data: str, count: int, side: int) -> Tensor:
    """Masks (count, side, side) uint8, 0 or 1: maps of 14x14 above the threshold of Eq. 6, or noise of a density."""
    if data.startswith("noise"):
        random = np.random.default_rng(3)
        return torch.from_numpy(random.random((count, side, side), np.float32) < float(data.split()[1])).view(
            torch.uint8
        )
    maps = cell_maps(data, count, 14)[:, None]
    full = F.interpolate(maps, (side, side), mode="bilinear", align_corners=False)[:, 0]
    cuts = np.float32(0.35) * np.percentile(full.flatten(1).numpy(), 90, axis=1)
    return (full > torch.from_numpy(cuts)[:, None, None]).to(torch.uint8)


def uint8_in_turn(data: str, images: int, side: int) -> Iterator[Tensor]:
    """Batches (images, side, side) uint8, for ever."""
    return cycle(_repeated(masks(data, _distinct(images, side), side), images).split(images))


def packed_in_turn(data: str, images: int, side: int) -> Iterator[PackedMasks]:
    """The same masks, packed."""
    packed = PackedMasks.pack(masks(data, _distinct(images, side), side))
    return cycle([PackedMasks(bits, packed.size) for bits in _repeated(packed.bits, images).split(images)])


def _distinct(images: int, side: int) -> int:
    return max(images, _DISTINCT if side <= 512 else 1)


def _repeated(batch: Tensor, images: int) -> Tensor:
    bytes_all = batch.numel() * batch.element_size()
    whole = batch[: len(batch) // images * images]
    return whole.repeat(-(-_BYTES_IN_TURN // bytes_all), *[1] * (batch.ndim - 1))
