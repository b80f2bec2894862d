"""The cases that drive the reference and every faster path held against it: score maps, pooling inputs, masks, maps."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastcam import Protocol

Mask = npt.NDArray[np.bool_]


def score_map(name: str) -> Tensor:
    """Maps A to D, whose boxes the reference implementations of the field were run for; (h, w) float32."""
    side = 14 if name in "AB" else 7
    i, j = np.mgrid[:side, :side]
    if name == "A":
        values = np.exp(-((i - 5) ** 2 / 8 + (j - 8) ** 2 / 18))
    elif name == "B":
        far = np.exp(-((i - 9) ** 2 / 9 + (j - 9) ** 2 / 16))
        values = np.exp(-((i - 3) ** 2 + (j - 3) ** 2) / 4) + 0.8 * far
    elif name == "C":
        values = ((3 * i + 5 * j) % 7) / 6 - 0.5 * ((i + 2 * j) % 3)
    else:
        cone = np.maximum(0, 2 - 0.6 * np.hypot(i - 3, j - 4))
        values = 4 * np.exp(-((i - 3) ** 2 + (j - 2) ** 2) / 1.5) + cone - 0.3
    return torch.from_numpy(values.astype(np.float32))


# ----------------------------------------------------------------------------------------------------------- pooling

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

POOLING_SIZES = [(1, 1), (7, 7), (14, 14), (28, 28), (1, 9), (9, 1), (5, 3), (13, 17), (16, 4), (33, 31)]

POOLING_THRESHOLDS = [0.0, 0.1, 0.5, 0.999]

LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda x: x.contiguous(),
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "permuted": lambda x: x.permute(1, 3, 0, 2).contiguous().permute(2, 0, 3, 1),
    "width before height": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "every other": lambda x: x.repeat_interleave(2, 3)[..., ::2],
    "a crop": lambda x: torch.nn.functional.pad(x, (1, 2, 3, 1))[:, :, 3:-1, 1:-2],
    "a slice of channels": lambda x: torch.cat((x, x), 1)[:, x.shape[1] :],
    "every other image": lambda x: x.repeat_interleave(2, 0)[::2],
}


def pooling_channels(height: int, width: int) -> dict[str, Tensor]:
    """Channels (H, W) float32 for pooling, by what is special about them."""
    generator = torch.Generator().manual_seed(height * 100 + width)
    normal = torch.randn(height, width, generator=generator)
    special = {
        "normal": normal,
        "rectified": normal.relu(),
        "negative": -normal.abs() - 0.1,
        "zero": torch.zeros(height, width),
        "negative zero": -torch.zeros(height, width),
        "constant": torch.full((height, width), 0.75),
        "tenths": (normal * 10).round() / 10,
        "large": normal * 1e30,
        "tiny": normal * 1e-39,
        "nan": normal.clone(),
        "all nan": torch.full((height, width), torch.nan),
        "infinite": normal.clone(),
        "negative infinity": normal.clone(),
        "all minus infinity": torch.full((height, width), -torch.inf),
        "nan and infinity": normal.clone(),
    }
    special["nan"][-1, -1] = torch.nan
    special["infinite"][height // 2, width // 2] = torch.inf
    special["negative infinity"][0, 0] = -torch.inf
    special["nan and infinity"][0, 0] = torch.inf
    special["nan and infinity"][-1, -1] = torch.nan
    return special


def pooling_input(height: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Every special channel, in two orders: (2, C, H, W)."""
    channels = torch.stack(list(pooling_channels(height, width).values()))
    return torch.stack((channels, channels.flip(0))).to(dtype)


# ------------------------------------------------------------------------------------------------------------- masks

MASK_WIDTHS = (1, 2, 63, 64, 65, 127, 128, 129)


def _spiral(height: int, width: int) -> Mask:
    mask = np.zeros((height, width), bool)
    top, left, bottom, right = 0, 0, height - 1, width - 1
    while top <= bottom and left <= right:
        mask[top, max(left - 1, 0) : right + 1] = True
        mask[top : bottom + 1, right] = True
        mask[bottom, left : right + 1] = True
        mask[min(top + 2, bottom) : bottom + 1, left] = True
        top, left, bottom, right = top + 2, left + 2, bottom - 2, right - 2
    return mask


def _snake(height: int, width: int) -> Mask:
    mask = np.zeros((height, width), bool)
    mask[::2] = True
    mask[1::4, -1] = mask[3::4, 0] = True
    return mask


def _comb(height: int, width: int) -> Mask:
    mask = np.zeros((height, width), bool)
    mask[:, ::2] = True
    mask[-1] = True
    return mask


def _rings(height: int, width: int) -> Mask:
    y, x = np.mgrid[:height, :width]
    return np.minimum(np.minimum(y, height - 1 - y), np.minimum(x, width - 1 - x)) % 2 == 0


def adversarial_masks(height: int, width: int) -> dict[str, Mask]:
    """Masks (H, W) that break labelling by shape: deep unions, many runs, many holes, nothing at all."""
    y, x = np.mgrid[:height, :width]
    corners = np.zeros((height, width), bool)
    corners[:: max(height - 1, 1), :: max(width - 1, 1)] = True
    frame = (y == 0) | (x == 0) | (y == height - 1) | (x == width - 1)
    return {
        "empty": np.zeros((height, width), bool),
        "full": np.ones((height, width), bool),
        "checkerboard": (x + y) % 2 == 0,
        "columns": x % 2 == 0,
        "rows": y % 2 == 1,
        "isolated": (x % 2 == 0) & (y % 2 == 0),
        "grid": (x % 3 == 0) | (y % 3 == 0),
        "diagonal": x == y,
        "falling diagonals": (x + y) % 4 == 0,
        "zigzag": np.abs(x % 8 - 4) == y % 5,
        "spiral": _spiral(height, width),
        "snake": _snake(height, width),
        "comb": _comb(height, width),
        "comb upside down": _comb(height, width)[::-1].copy(),
        "interlocked combs": np.where(y < height // 2, _comb(height, width), (x % 4 == 1) | (y == height - 1)),
        "rings": _rings(height, width),
        "corners": corners,
        "frame": frame,
        "frame with a dot": frame | ((y == height // 2) & (x == width // 2)),
        "last pixel": (y == height - 1) & (x == width - 1),
        "last column": x == width - 1,
    }


def random_masks(height: int, width: int, seed: int) -> dict[str, Mask]:
    """Noise of many densities (0.593 is where a component begins to span the mask) and grains, and smooth masks."""
    rng = np.random.default_rng((seed, height, width))
    noise = {f"noise {p}": rng.random((height, width)) < p for p in (0.02, 0.1, 0.3, 0.5, 0.593, 0.8, 0.98)}
    for grain in (2, 4, 8, 16):
        coarse = rng.random((height // grain + 1, width // grain + 1)) < 0.5
        noise[f"blocks of {grain}"] = np.kron(coarse, np.ones((grain, grain), bool))[:height, :width]
    for i, level in enumerate((0.3, 0.5, 0.7)):
        noise[f"smooth {level}"] = smooth_maps(1, (height, width), seed + i)[0].numpy() > level
    return noise


def mask_shapes() -> Iterator[tuple[int, int]]:
    """Shapes (H, W) around the words of packed rows, and degenerate ones."""
    yield from ((9, width) for width in MASK_WIDTHS)
    yield from ((1, 1), (1, 200), (200, 1), (2, 2), (40, 33))


# -------------------------------------------------------------------------------------------------------------- maps


def smooth_maps(count: int, size: tuple[int, int], seed: int, source: int = 6) -> Tensor:
    """Smooth maps (N, H, W) float32 in about [0, 1], as class activation maps are."""
    coarse = torch.rand(count, 1, source, source, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic", align_corners=False)[:, 0]


def heat_maps(height: int, width: int, seed: int = 0) -> dict[str, Tensor]:
    """Small maps (h, w) float32 by what is special about them, to be resized and thresholded."""
    generator = torch.Generator().manual_seed(seed * 10_000 + height * 100 + width)
    normal = torch.randn(height, width, generator=generator)
    maps = {
        "smooth": smooth_maps(1, (height, width), seed)[0],
        "noise": normal,
        "constant": torch.full((height, width), 0.3),
        "zero": torch.zeros(height, width),
        "negative zero": -torch.zeros(height, width),
        "negative": -normal.abs() - 0.5,
        "rectified": (normal - 0.5).relu(),
        "three levels": normal.round().clamp(-1, 1),
        "one peak": torch.zeros(height, width),
        "large": normal * 1e30,
        "tiny": normal * 1e-39,
    }
    maps["one peak"][height // 2, width // 3] = 2
    return maps


def broken_maps(height: int, width: int) -> dict[str, Tensor]:
    """Maps (h, w) that hold what is not a number, or not finite."""
    maps = {
        name: heat_maps(height, width)["noise"].clone()
        for name in ("nan", "infinity", "minus infinity", "both infinite")
    }
    maps["nan"][-1, -1] = torch.nan
    maps["infinity"][0, 0] = maps["both infinite"][0, 0] = torch.inf
    maps["minus infinity"][-1, 0] = maps["both infinite"][-1, -1] = -torch.inf
    maps["all nan"] = torch.full((height, width), torch.nan)
    maps["all infinite"] = torch.full((height, width), torch.inf)
    return maps


# From the map's (h, w) to the (H, W) wanted: up, down, the same, one pixel, one row, one column.
RESIZES = [
    ((14, 14), (112, 112)),
    ((7, 7), (56, 56)),
    ((7, 7), (7, 7)),
    ((14, 14), (5, 3)),
    ((1, 1), (8, 8)),
    ((1, 1), (1, 1)),
    ((3, 5), (1, 17)),
    ((9, 4), (33, 1)),
    ((6, 6), (1, 1)),
    ((13, 17), (65, 63)),
    ((28, 28), (40, 64)),
    ((5, 6), (5, 48)),
    ((1, 7), (21, 21)),
]

PERCENTILES = (80, 87.5, 90, 95.25, 99.9, 100)


def varied(protocol: Protocol, **fields: Any) -> Protocol:
    """``protocol.replace(**fields)`` without the warning of a low percentile."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return protocol.replace(**fields)


# -------------------------------------------------------------------------------------------------------- score maps

# Of maps A to D at 224x224, for the ground truth 60, 40, 190, 150, by the evaluator of Choe et al.: the best IoU of the
# largest contour over 1000 thresholds, the first of its thresholds, how many thresholds reach .3, .5 and .7; and the
# same of any contour, where it differs.
SWEPT = {
    "A": (0.770909, 291, [710, 479, 157]),
    "B": (0.336224, 142, [71, 0, 0]),
    "C": (0.401153, 467, [172, 0, 0]),
    "D": (0.625344, 224, [561, 247, 0]),
}
SWEPT_MULTI = SWEPT | {"C": (0.518808, 550, [243, 50, 0])}


def summary_of_sweep(overlaps: npt.NDArray[np.float64]) -> tuple[float, int, list[int]]:
    """What SWEPT holds, of the best IoU at every threshold."""
    reached = [int((overlaps >= iou).sum()) for iou in (0.3, 0.5, 0.7)]
    return round(float(overlaps.max()), 6), int(overlaps.argmax()), reached


SCORE_MAPS = ("smooth", "rough", "noisy", "constant", "one pixel")


def full_score_maps(kind: str, count: int, seed: int, size: tuple[int, int] = (224, 224)) -> npt.NDArray[np.float64]:
    """Score maps (N, H, W) float64 in [0, 1], as evaluators are given them."""
    rng = np.random.default_rng((seed, SCORE_MAPS.index(kind)))
    if kind == "constant":
        return np.broadcast_to(rng.choice([0, 0.3, 1], count)[:, None, None], (count, *size)).copy()
    if kind == "one pixel":
        maps = np.zeros((count, *size))
        maps[np.arange(count), rng.integers(0, size[0], count), rng.integers(0, size[1], count)] = rng.random(count)
        return maps
    side = 14 if kind == "smooth" else 28
    coarse = rng.random((count, 1, side, side)) ** (4 if kind == "noisy" else 1)
    if kind != "noisy":  # bumps, with some texture where rough
        y, x = np.mgrid[:side, :side] / side
        for one in coarse[:, 0]:
            one *= 0.4 if kind == "rough" else 0.1
            for _ in range(rng.integers(1, 6)):
                distance = (y - rng.random()) ** 2 + (x - rng.random()) ** 2
                one += rng.uniform(0.3, 1) * np.exp(-distance / rng.uniform(0.01, 0.06))
    full = torch.nn.functional.interpolate(torch.from_numpy(coarse), size, mode="bicubic", align_corners=False)[:, 0]
    low, high = full.amin(dim=(1, 2), keepdim=True), full.amax(dim=(1, 2), keepdim=True)
    return ((full - low) / (high - low)).numpy()


def truth_boxes(count: int, seed: int, size: tuple[int, int] = (224, 224)) -> list[npt.NDArray[np.int64]]:
    """One to three ground-truth boxes (G, 4) for each of ``count`` images."""
    rng = np.random.default_rng((seed, 7))
    every = []
    for _ in range(count):
        corners = np.sort(rng.integers(0, np.array(size)[::-1], (rng.integers(1, 4), 2, 2)), axis=1)
        every.append(corners.reshape(-1, 4))
    return every
