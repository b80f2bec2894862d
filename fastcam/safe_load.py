"""Reading what ``torch.save`` wrote without executing any of it, or taking more memory than it has bytes."""

from __future__ import annotations

import os
import reprlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["checked_tensors", "holds_all_values", "load_safely", "short"]

short = reprlib.repr
"""Like ``repr``, and short whatever a file may hold: an error must not grow with what it is about."""


def load_safely(path: str | os.PathLike[str], what: str = "a file", *, mapped: bool = False) -> object:
    """Read a file of ``torch.save`` to the CPU.

    Args:
        path: the file.
        what: errors call what was expected.
        mapped: read the tensors when they are looked at and not before.

    Raises:
        OSError: it cannot be read.
        ValueError: not such a file, or one that would execute something, or grow when it is read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"a": torch.zeros(2)}, Path(folder, "a.pt"))
        ...     load_safely(Path(folder, "a.pt"))
        {'a': tensor([0., 0.])}
    """
    with open(path, "rb") as file:  # an error of the file system says so itself
        if zipfile.is_zipfile(file):
            _refuse_compressed(path, what)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    # A file that is none fails wherever its bytes first make no sense.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{Path(path)}: not {what} that can be loaded safely: {reason}") from error


def checked_tensors(path: str | os.PathLike[str], state: object) -> Mapping[str, Tensor]:
    """Refuse what is no state dict: names to dense tensors.

    Raises:
        ValueError: something else; the message names the file and the tensor.
    """
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise ValueError(f"{Path(path)}: expected a state dict, names to tensors, got {type(state).__name__}")
    for name, value in state.items():
        if not isinstance(value, Tensor):
            got = f"{short(name)}, a {type(value).__name__}"
            raise ValueError(f"{Path(path)}: expected a state dict, names to tensors, got {got}")
        if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
            raise ValueError(f"{Path(path)}: {short(name)} must be a dense tensor, got {value.layout}")
    return state


def holds_all_values(tensor: Tensor) -> bool:
    """Whether a tensor takes as much room as its shape says: one of stride 0 takes none, however large it is."""
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _refuse_compressed(path: str | os.PathLike[str], what: str) -> None:
    """``torch.save`` compresses nothing; what is compressed may be a thousand times as large when it is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = [(one.file_size, one.compress_type) for one in archive.infolist()]
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{Path(path)}: not {what} that can be loaded safely: {error}") from error
    stored = all(kind == zipfile.ZIP_STORED for _, kind in sizes)
    if not stored or sum(size for size, _ in sizes) > os.path.getsize(path):
        raise ValueError(f"{Path(path)}: not {what} that can be loaded safely: it is larger when read than on the disk")
