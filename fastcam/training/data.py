"""The data set that a training names: its parts, read when they are needed and not before."""

from __future__ import annotations

import os
from pathlib import Path

from fastcam.data import Split, read_dataset
from fastcam.data.layout import judged_part
from fastcam.data.synthetic import write_synthetic
from fastcam.training.config import ConfigError

__all__ = ["SYNTHETIC", "read_part"]

SYNTHETIC = "synthetic"


def read_part(data: str, part: str, *, out: Path, images: str | None = None, truth: bool = True) -> Split:
    """Read one part of a data set; nothing of the other.

    Args:
        data: a folder in any layout that :func:`fastcam.data.read_dataset` reads, or ``"synthetic"``: the benchmark
            that comes with the library.
        part: which, ``"train"`` or another; ``"test"`` is the part with boxes, which some data sets call val.
        out: where ``"synthetic"`` is written, below ``synthetic/``, if it is not there.
        images: the folder that the paths of a metadata folder are below.
        truth: with boxes, or masks; a training has no use for them, and without them their files need not be there.

    Returns:
        The :class:`fastcam.data.Split`, with at least one image.

    Raises:
        ConfigError: no such folder, or no images.
        DataError: a folder in none of the layouts, a missing or malformed file; named with its line.
        PictureError: a picture that cannot be read.
    """
    folder = out / SYNTHETIC if data == SYNTHETIC else Path(data)
    if data == SYNTHETIC:
        write_synthetic(folder)
    # os.path's answer: a name that no folder can have is no error, as it is to pathlib.
    if not os.path.isdir(folder):
        raise ConfigError(f"data: {data!r} is no folder; expected one with a data set, or {SYNTHETIC!r}")
    name = judged_part(folder) if part == "test" else part
    # Paths of a metadata folder are below the current folder where nothing is said.
    split = read_dataset(folder, name, images=images or "", truth=truth)
    if not len(split):
        raise ConfigError(f"data: {data!r} has no images to {part}")
    return split
