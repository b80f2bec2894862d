"""The synthetic benchmark with its masks, in the layout of OpenImages30K: :func:`write_synthetic_masks`."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from fastcam.data.synthetic import synthetic

__all__ = ["write_synthetic_masks"]


def write_synthetic_masks(
    folder: str | os.PathLike[str],
    *,
    train: int = 400,
    test: int = 200,
    classes: int = 4,
    size: int = 64,
    seed: int = 0,
) -> None:
    """Write the pictures of :func:`fastcam.data.synthetic.write_synthetic` with a mask for each test picture.

    Args:
        folder: made whole, or not at all. One that is there is left as it is.
        train: images to train on, which have no masks.
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
        >>> from fastcam.data import read_dataset
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     write_synthetic_masks(pathlib.Path(parent, "masks"), train=2, test=2, classes=2)
        ...     read_dataset(pathlib.Path(parent, "masks"), "test").has_masks
        True
    """
    if importlib.util.find_spec("PIL") is None:
        raise ImportError('write_synthetic_masks needs Pillow: pip install "fastcam[cli]"')
    target = Path(folder)
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        for split, count in (("train", train), ("test", test)):
            _write(unfinished / split, split, count, classes, size, seed)
        # mkdtemp's folder is its owner's alone; a data set is not a secret.
        unfinished.chmod(0o755)
        unfinished.rename(target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _write(folder: Path, split: str, count: int, classes: int, size: int, seed: int) -> None:
    from PIL import Image

    drawn = synthetic(count, classes=classes, size=size, seed=seed, split=split)
    for label in range(classes):
        (folder / f"class_{label:02}").mkdir(parents=True)
    nothing = Image.fromarray(np.zeros((size, size), np.uint8))
    for row, (pixels, label, mask) in enumerate(zip(drawn.images, drawn.labels.tolist(), drawn.masks, strict=True)):
        path = folder / f"class_{label:02}" / f"{split}-{row:05}"
        Image.fromarray(pixels).save(f"{path}.png")
        if split != "train":
            Image.fromarray(mask.astype(np.uint8) * 255).save(f"{path}_m{label:02}_0.png")
            nothing.save(f"{path}_ignore.png")
