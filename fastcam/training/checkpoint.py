"""The checkpoint that a training goes on from: :func:`read_matching`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastcam.checkpoint import CheckpointError, read_checkpoint
from fastcam.training.config import TrainingConfig

__all__ = ["read_matching"]

# What may change from one part of a training to the next: its length, and where it finds what it reads.
_FREE = {"epochs", "workers", "data", "images", "weights", "new_classifier"}


def read_matching(path: str | os.PathLike[str], config: TrainingConfig, classes: Sequence[str]) -> dict[str, Any]:
    """Read a checkpoint that a training is to go on from.

    Args:
        path: the file.
        config: of the training; only its length and where it finds what it reads may have changed.
        classes: their names, by label.

    Raises:
        CheckpointError: not a checkpoint, or one of another training; the message says what differs.
        OSError: it cannot be read.
    """
    content = read_checkpoint(path)
    before, now = content["config"], config.to_mapping()
    changed = [
        f"{name}={before.get(name)!r} (now {value!r})"
        for name, value in now.items()
        if name not in _FREE and before.get(name) != value
    ]
    if content["classes"] != list(classes):
        changed.append(f"{len(content['classes'])} classes (now {len(classes)}, or others)")
    if changed:
        raise CheckpointError(f"{Path(path)} is of another training: {', '.join(changed)}")
    return content
