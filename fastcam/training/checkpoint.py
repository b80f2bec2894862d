"""The checkpoint that a training goes on from: :func:`read_matching` and :func:`state_errors`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from fastcam.checkpoint import CheckpointError, read_checkpoint
from fastcam.safe_load import short
from fastcam.training.config import TrainingConfig
from fastcam.training.journal import EPOCH_COLUMNS

__all__ = ["read_matching", "state_errors"]

# What may change from one part of a training to the next: its length, and where it finds what it reads.
_FREE = {"epochs", "workers", "keep_pictures", "data", "images", "weights", "new_classifier"}
_DEFAULTS = {one.name: one.default for one in fields(TrainingConfig) if one.default is not MISSING}


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
    # Settings that there were not yet when the file was written had the effect that their defaults have.
    before, now = {**_DEFAULTS, **content["config"]}, config.to_mapping()
    # Where the rate falls to 0 in the last epoch, the number of epochs says what it was in the first.
    free = _FREE - {"epochs"} if config.schedule == "cosine" else _FREE
    changed = [
        f"{name}={short(before.get(name))} (now {short(value)})"
        for name, value in now.items()
        if name not in free and before.get(name) != value
    ]
    history = content["history"]
    if not 1 <= content["epoch"] == len(history) or not all(entry.keys() >= set(EPOCH_COLUMNS) for entry in history):
        raise CheckpointError(f"{Path(path)}: its history is not that of the {content['epoch']} epochs it says")
    if content["classes"] != list(classes):
        changed.append(f"{len(content['classes'])} classes (now {len(classes)}, or others)")
    if changed:
        raise CheckpointError(f"{Path(path)} is of another training: {', '.join(changed)}")
    return content


@contextmanager
def state_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Say of a state that the training's parts cannot take which file it is from, as a CheckpointError."""
    try:
        yield
    # It shows where a loader first makes no sense of it.
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{Path(path)}: its state is not that of this training: {short(str(error))}") from error
