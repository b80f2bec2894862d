"""Checkpoints: all that a training needs to go on, in one file that is replaced whole or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fastcam.export import replacing

__all__ = ["CheckpointError", "read_checkpoint", "write_checkpoint"]

_FORMAT = 1
_KEYS = ("state_dict", "method_state", "optimizer", "epoch", "history", "config", "classes")


class CheckpointError(ValueError):
    """A file that is no checkpoint of this library, or one that does not fit; the message says why."""


def write_checkpoint(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write a checkpoint in place of the one that may be there.

    Args:
        path: the file; its folder must exist.
        content: state_dict (the model's), method_state, optimizer, epoch, history, config and classes. Other commands
            find the model's weights under ``state_dict``.

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
    if not isinstance(content, dict) or not {"fastcam", *_KEYS} <= content.keys():
        raise CheckpointError(f"{Path(path)}: not a checkpoint of fastcam train")
    if content["fastcam"] != _FORMAT:
        raise CheckpointError(f"{Path(path)}: checkpoint format {content['fastcam']!r}, expected {_FORMAT}")
    return content
