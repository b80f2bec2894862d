"""Checkpoints: all that a training needs to go on, in one file that is replaced whole or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from fastcam.export import replacing
from fastcam.training.config import TrainingConfig

__all__ = ["CheckpointError", "read_checkpoint", "read_matching", "write_checkpoint"]

_FORMAT = 2
_KEYS = ("state_dict", "method_state", "optimizer", "precision", "epoch", "history", "config", "classes")
# What may change from one part of a training to the next: its length, and where it finds what it reads.
_FREE = {"epochs", "workers", "data", "images", "weights", "new_classifier"}


class CheckpointError(ValueError):
    """A file that is no checkpoint of this library, or one that does not fit; the message says why."""


def write_checkpoint(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write a checkpoint in place of the one that may be there.

    Args:
        path: the file; its folder must exist.
        content: state_dict (the model's), method_state, optimizer, precision (the loss scaler's state), epoch,
            history, config and classes. Other commands find the model's weights under ``state_dict``.

    Raises:
        OSError: it cannot be written; the former file is then still there, whole.
    """
    # Serialized first: an error of the disk comes as it is, not wrapped by the archive's writer.
    buffer = io.BytesIO()
    torch.save({"fastcam": _FORMAT, **{key: content[key] for key in _KEYS}}, buffer)
    with replacing(path) as file:
        file.write(buffer.getbuffer())


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint to the CPU; nothing in the file is executed.

    Raises:
        CheckpointError: not a checkpoint that :func:`write_checkpoint` wrote.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        # A file that is no checkpoint fails wherever its bytes first make no sense.
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CheckpointError(f"{Path(path)}: not a checkpoint that can be loaded safely: {reason}") from error
    if not isinstance(content, dict) or "fastcam" not in content:
        raise CheckpointError(f"{Path(path)}: not a checkpoint of fastcam train")
    if content["fastcam"] == 1:
        # It lacked the state of the precision: whatever scaled the loss starts afresh.
        content = {**content, "fastcam": _FORMAT, "precision": {}}
    if content["fastcam"] != _FORMAT:
        raise CheckpointError(f"{Path(path)}: checkpoint format {content['fastcam']!r}, expected {_FORMAT}")
    if not content.keys() >= set(_KEYS):
        raise CheckpointError(f"{Path(path)}: not a checkpoint of fastcam train")
    return content


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
