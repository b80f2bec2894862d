"""Checkpoints of ``fastcam train``: all that a training needs to go on, and what the network needs to be used."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastcam.inputs import Inputs
from fastcam.methods import Recipe
from fastcam.models import NETWORKS
from fastcam.result_files import replacing
from fastcam.safe_load import DamagedError, checked_tensors, load_safely, short

__all__ = ["CheckpointError", "TrainedFile", "is_checkpoint", "read_checkpoint", "read_trained", "write_checkpoint"]

_FORMAT = 4
_KEYS = (
    "state_dict",
    "method_state",
    "latest",
    "optimizer",
    "precision",
    "epoch",
    "history",
    "config",
    "inputs",
    "classes",
)


class CheckpointError(ValueError):
    """A file that is no checkpoint of this library, or one that does not fit; the message says why."""


@dataclass(frozen=True)
class TrainedFile:
    """What a checkpoint says of its network.

    Attributes:
        path: the file.
        recipe: which network, with which head, by which method.
        inputs: what it was trained to see.
        classes: their names, by label.
        state_dict: the model's weights.
        method_state: those of the method's own branches.
    """

    path: Path
    recipe: Recipe
    inputs: Inputs
    classes: tuple[str, ...]
    state_dict: Mapping[str, Tensor]
    method_state: Mapping[str, Tensor]


def write_checkpoint(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write a checkpoint in place of the one that may be there.

    Args:
        path: the file; its folder must exist.
        content: state_dict (the model's), method_state, latest (where these are averages: what the training goes on
            from), optimizer, precision (the loss scaler's state), epoch,
            history, config, inputs (:meth:`fastcam.inputs.Inputs.to_mapping`) and classes. Other libraries find the
            model's weights under ``state_dict``.

    Raises:
        OSError: it cannot be written; the former file is then still there, whole.
    """
    # Serialized first: an error of the disk comes as it is, not wrapped by the archive's writer.
    buffer = io.BytesIO()
    with _checksums():
        torch.save({"fastcam": _FORMAT, **{key: content[key] for key in _KEYS}}, buffer)
    with replacing(path) as file:
        file.write(buffer.getbuffer())


def is_checkpoint(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a checkpoint of ``fastcam train``, whatever state it is in; its weights are not read.

    Of a file that is damaged nobody knows; it counts as one, and reading it says so.
    """
    try:
        content = load_safely(path, mapped=True)
    except DamagedError:
        return True
    # Whatever it is instead of a checkpoint, reading it as that will say so.
    except (OSError, ValueError):
        return False
    return isinstance(content, Mapping) and "fastcam" in content


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint to the CPU; nothing in the file is executed.

    Every byte of the record and of the tensors is compared with the checksums that were written with it.

    Raises:
        CheckpointError: not a checkpoint that :func:`write_checkpoint` wrote, or one that is damaged.
        OSError: it cannot be read.
    """
    try:
        content = load_safely(path, "a checkpoint")
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    if not isinstance(content, dict) or "fastcam" not in content:
        raise CheckpointError(f"{Path(path)}: not a checkpoint of fastcam train")
    content = _upgraded(content)
    if content["fastcam"] != _FORMAT:
        raise CheckpointError(f"{Path(path)}: checkpoint format {short(content['fastcam'])}, expected {_FORMAT}")
    if not content.keys() >= set(_KEYS):
        raise CheckpointError(f"{Path(path)}: not a checkpoint of fastcam train")
    try:
        _check_types(path, content)
    except ValueError as error:
        raise CheckpointError(f"{Path(path)}: {str(error).removeprefix(f'{Path(path)}: ')}") from error
    return content


def read_trained(path: str | os.PathLike[str]) -> TrainedFile:
    """Read what a checkpoint says of its network, checked before any of it is used.

    Raises:
        CheckpointError: not a checkpoint, or one that says what no training would.
        OSError: it cannot be read.
    """
    content = read_checkpoint(path)
    try:
        return TrainedFile(
            Path(path),
            Recipe.of(content["config"]),
            Inputs.from_mapping(content["inputs"]),
            tuple(content["classes"]),
            content["state_dict"],
            content["method_state"],
        )
    except ValueError as error:
        raise CheckpointError(f"{Path(path)}: {str(error).removeprefix(f'{Path(path)}: ')}") from error


@contextmanager
def _checksums() -> Iterator[None]:
    """Let torch.save write checksums, whatever the program around has chosen."""
    chosen = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(True)
    try:
        yield
    finally:
        torch.serialization.set_crc32_options(chosen)


def _check_types(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Refuse a record whose parts are not what their readers take them for."""
    for name in ("config", "inputs", "optimizer", "precision", "latest"):
        if not isinstance(content[name], Mapping) or not all(isinstance(key, str) for key in content[name]):
            raise ValueError(f"{name} must be a table, got {short(content[name])}")
    classes, epoch, history = content["classes"], content["epoch"], content["history"]
    if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"classes must be a list of names, got {short(classes)}")
    if type(epoch) is not int or epoch < 0:
        raise ValueError(f"epoch must be a whole number of at least 0, got {short(epoch)}")
    if not isinstance(history, list) or not all(map(_is_entry, history)):
        raise ValueError(f"history must be a list of epochs, names to numbers, got {short(history)}")
    for name in ("state_dict", "method_state"):
        checked_tensors(path, content[name])


def _is_entry(entry: object) -> bool:
    return isinstance(entry, Mapping) and all(
        isinstance(name, str) and (value is None or type(value) in (int, float)) for name, value in entry.items()
    )


def _upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """Bring an older format to the present one."""
    if content["fastcam"] is True or not isinstance(content["fastcam"], int):
        return content
    if content["fastcam"] == 1:
        # It lacked the state of the precision: whatever scaled the loss starts afresh.
        content = {**content, "fastcam": 2, "precision": {}}
    if content["fastcam"] == 2 and isinstance(content.get("config"), Mapping):
        # It lacked the inputs: they were the whole picture at the size of the crop, in the network's own colours.
        config = content["config"]
        model, crop = config.get("model"), config.get("crop")
        network = NETWORKS.get(model) if isinstance(model, str) else None
        if network is not None:
            inputs = {**network.inputs.to_mapping(), "resize": [crop, crop], "filter": "bilinear"}
            content = {**content, "fastcam": 3, "inputs": inputs}
    if content["fastcam"] == 3:
        # It knew no average: what was kept was what the training went on from.
        content = {**content, "fastcam": 4, "latest": {}}
    return content
