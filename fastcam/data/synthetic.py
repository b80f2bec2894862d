"""A benchmark without data: birds of a kind, told apart by their heads, on clutter, drawn from a seed.

Every object has a small head whose colour and pattern are the class, and a large striped body with a tinge of the
head's colour, less than birds of a class differ in. The head suffices for a classifier, so its class activation map
tends to cover little more, while the body has evidence that a better map would show: what weakly supervised
localization is about, at a size that trains in a minute.

Pixels are computed in integers from the raw stream of PCG64, which NumPy keeps the same for all versions and machines.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_CLASSES", "SyntheticSet", "synthetic", "write_synthetic"]

_HEADS = ((230, 40, 40), (40, 200, 60), (50, 80, 240), (240, 220, 40), (220, 60, 220), (40, 220, 230))
_FAINT = 6  # times weaker than the head's is the body's colour
MAX_CLASSES = 2 * len(_HEADS)
"""How many classes there can be: six colours, plain or chequered with black."""
_SPLITS = ("train", "test")
_MIN_SIZE = 32


@dataclass(frozen=True)
class SyntheticSet:
    """Images with everything known about them.

    Attributes:
        images: (N, S, S, 3) uint8, RGB.
        labels: (N,) int64; every class equally often, as far as N allows.
        boxes: (N, 4) int64, x0, y0, x1, y1, half-open: the smallest box around the mask.
        masks: (N, S, S) bool: the object, head and body.
        parts: (N, S, S) bool: the head, which tells the classes apart.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    boxes: NDArray[np.int64]
    masks: NDArray[np.bool_]
    parts: NDArray[np.bool_]


def synthetic(
    count: int, *, classes: int = 4, size: int = 64, seed: int = 0, split: str = "train", start: int = 0
) -> SyntheticSet:
    """Draw images ``start`` to ``start + count - 1`` of a benchmark.

    An image depends on seed, split, size, classes and its own number alone: the first ten of a hundred are the ten
    that are drawn by themselves.

    Args:
        count: N, at least 1.
        classes: K, 2 to 12.
        size: S, width and height of an image, at least 32.
        seed: names the benchmark; not negative.
        split: ``"train"`` or ``"test"``, which have no image in common.
        start: the number of the first image.

    Returns:
        :class:`SyntheticSet`.

    Raises:
        ValueError: an argument out of range, or another split.

    Example:
        >>> birds = synthetic(2, size=64, seed=0)
        >>> birds.images.shape, birds.labels.tolist()
        ((2, 64, 64, 3), [0, 1])
        >>> birds.boxes.tolist()
        [[18, 25, 59, 48], [27, 31, 63, 56]]
    """
    ranges = {"count": (count, 1, None), "classes": (classes, 2, MAX_CLASSES), "size": (size, _MIN_SIZE, None)}
    for name, (value, low, high) in {**ranges, "seed": (seed, 0, None), "start": (start, 0, None)}.items():
        if value < low or (high is not None and value > high):
            expected = f"at least {low}" if high is None else f"{low} to {high}"
            raise ValueError(f"{name} must be {expected}, got {value}")
    if split not in _SPLITS:
        raise ValueError(f"split must be one of {', '.join(map(repr, _SPLITS))}, got {split!r}")
    labels = np.arange(start, start + count, dtype=np.int64) % classes
    images = np.empty((count, size, size, 3), np.uint8)
    masks, parts = np.empty((2, count, size, size), np.bool_)
    boxes = np.empty((count, 4), np.int64)
    for row, label in enumerate(labels.tolist()):
        draw = _Draw(seed, _SPLITS.index(split), start + row)
        images[row] = _clutter(draw, size)
        masks[row], parts[row] = _object(draw, images[row], label)
        ys, xs = np.nonzero(masks[row])
        boxes[row] = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    return SyntheticSet(images, labels, boxes, masks, parts)


class _Draw:
    """Whole numbers from the raw stream: unlike ``Generator``'s, its values are promised to stay."""

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))

    def array(self, low: int, high: int, *shape: int) -> NDArray[np.int64]:
        """Whole numbers from low to high - 1; the bias of the remainder is below 2**-50."""
        raw = self._bits.random_raw(int(np.prod(shape)))
        return (raw % np.uint64(high - low)).astype(np.int64).reshape(shape) + low

    def one(self, low: int, high: int) -> int:
        return int(self.array(low, high, 1)[0])


def _clutter(draw: _Draw, size: int) -> NDArray[np.uint8]:
    """Muted blocks at three scales, with bars and patches over them."""
    canvas = np.zeros((size, size, 3), np.int64)
    for divisions, strength in ((4, 60), (8, 40), (32, 30)):
        cells = draw.array(0, strength, divisions, divisions, 1) + draw.array(0, strength // 3, divisions, divisions, 3)
        at = np.arange(size) * divisions // size
        canvas += cells[at][:, at]
    canvas += draw.array(0, 12, size, size, 3)
    for _ in range(draw.one(3, 7)):
        height, width = draw.one(size // 16, size // 3), draw.one(size // 16, size // 3)
        y, x = draw.one(0, size - height), draw.one(0, size - width)
        canvas[y : y + height, x : x + width] += draw.one(-50, 50) + draw.array(-15, 15, 3)
    return canvas.clip(0, 255).astype(np.uint8)


def _object(draw: _Draw, image: NDArray[np.uint8], label: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Paint a body and a head; return what they cover together, and the head."""
    size = len(image)
    half_long, half_short = draw.one(size * 6 // 32, size * 10 // 32), draw.one(size * 4 // 32, size * 8 // 32)
    half_short = min(half_short, half_long)
    radius = draw.one(size * 5 // 64, size * 7 // 64)
    upright, flipped = draw.one(0, 2), draw.one(0, 2)
    # Drawn lying, the head at the right, then turned: the rest is a matter of swapping axes.
    reach = half_long + radius
    cx = draw.one(half_long + 1, size - reach - radius - 1)
    cy = draw.one(half_short + radius + 1, size - half_short - radius - 1)
    y, x = np.mgrid[:size, :size]
    body = ((x - cx) * half_short) ** 2 + ((y - cy) * half_long) ** 2 <= (half_long * half_short) ** 2
    head_x, head_y = cx + half_long, cy - half_short // 2
    part = (x - head_x) ** 2 + (y - head_y) ** 2 <= radius**2
    stripe = max(2, size // 24)
    hue = np.array(_HEADS[label % len(_HEADS)])
    brown = np.array([150, 110, 70]) + draw.array(-25, 26, 3) + (hue - 128) // _FAINT
    shade = np.where((x // stripe + y // (2 * stripe)) % 2, 35, 0) + draw.array(-10, 11, size, size)
    colours = brown + shade[..., None]
    chequered = label >= len(_HEADS)
    black = ((x // stripe + y // stripe) % 2 == 1) & part if chequered else np.zeros_like(part)
    colours[part] = hue + draw.array(-15, 16, size, size, 1)[part]
    colours[black] = 15
    covered = body | part
    if flipped:
        colours, covered, part = colours[:, ::-1], covered[:, ::-1], part[:, ::-1]
    if upright:
        colours, covered, part = colours.transpose(1, 0, 2), covered.T, part.T
    image[covered] = colours[covered].clip(0, 255)
    return covered, part


def write_synthetic(
    folder: str | os.PathLike[str],
    *,
    train: int = 400,
    test: int = 200,
    classes: int = 4,
    size: int = 64,
    seed: int = 0,
) -> None:
    """Write a benchmark in the layout of CUB-200-2011, so that every command reads it.

    Args:
        folder: made whole, or not at all. One that is there is left as it is.
        train: images to train on.
        test: images to test on.
        classes: K, 2 to 12.
        size: side of an image in pixels.
        seed: names the benchmark.

    Raises:
        ImportError: Pillow is not installed.
        OSError: it cannot be written.
        ValueError: an argument out of range.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     write_synthetic(pathlib.Path(parent, "birds"), train=2, test=2, classes=2)
        ...     print(pathlib.Path(parent, "birds", "bounding_boxes.txt").read_text().splitlines()[0])
        1 18.0 25.0 41.0 23.0
    """
    if importlib.util.find_spec("PIL") is None:
        raise ImportError('write_synthetic needs Pillow: pip install "fastcam[cli]"')
    target = Path(folder)
    if target.exists():
        return
    sets = {
        name: synthetic(count, classes=classes, size=size, seed=seed, split=name)
        for name, count in (("train", train), ("test", test))
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        _write_files(unfinished, sets, classes)
        # mkdtemp's folder is its owner's alone; a data set is not a secret.
        unfinished.chmod(0o755)
        unfinished.rename(target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _write_files(folder: Path, sets: Mapping[str, SyntheticSet], classes: int) -> None:
    """Write the pictures, and the tables with a line for each."""
    from PIL import Image

    names = [f"class_{label:02}" for label in range(classes)]
    tables: dict[str, list[str]] = {"classes": [f"{label + 1} {name}" for label, name in enumerate(names)]}
    for name in names:
        (folder / "images" / name).mkdir(parents=True)
    number = 0
    for split, drawn in sets.items():
        for row, (pixels, label, box) in enumerate(zip(drawn.images, drawn.labels, drawn.boxes, strict=True)):
            number += 1
            path = f"{names[label]}/{split}_{row:05}.png"
            Image.fromarray(pixels).save(folder / "images" / path)
            x0, y0, x1, y1 = box.tolist()
            for table, fields in {
                "images": path,
                "image_class_labels": label + 1,
                "train_test_split": int(split == "train"),
                "bounding_boxes": f"{x0}.0 {y0}.0 {x1 - x0}.0 {y1 - y0}.0",
            }.items():
                tables.setdefault(table, []).append(f"{number} {fields}")
    for table, lines in tables.items():
        (folder / f"{table}.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
