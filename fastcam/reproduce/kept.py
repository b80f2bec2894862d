"""What a run has computed, kept in its folder so that a run that was cut off goes on from there: :class:`Kept`."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastcam.data import Split
from fastcam.result_files import replacing, write_json
from fastcam.safe_load import short
from fastcam.training.config import ConfigError

__all__ = ["Kept", "images_of"]

_OF = "of.json"


class Kept:
    """Tensors in a folder, each file written whole or not at all.

    Args:
        folder: made if it is not there.
        of: what the tensors follow from: names, and values that JSON can say.

    Raises:
        ConfigError: the folder is of something else; the message names what differs.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kept = Kept(Path(folder), {"crop": 224})
        ...     _ = kept.tensors("two", lambda: {"x": torch.tensor([2.0])})
        ...     kept.tensors("two", lambda: {})["x"]
        tensor([2.])
    """

    def __init__(self, folder: Path, of: Mapping[str, Any]) -> None:
        self.folder = folder
        now: dict[str, Any] = json.loads(json.dumps(of))
        before = _read_json(folder / _OF)
        if before is None:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / _OF, now)
        elif before != now:
            changed = ", ".join(
                f"{name}={short(before.get(name))} (now {short(now.get(name))})"
                for name in dict.fromkeys([*now, *before])
                if before.get(name) != now.get(name)
            )
            raise ConfigError(f"{folder} is of another run: {changed}; choose another folder, or remove it")

    def __contains__(self, name: str) -> bool:
        return (self.folder / f"{name}.npz").exists()

    def tensors(self, name: str, compute: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Return the tensors that are kept under a name; computed, and kept, where there are none.

        Args:
            name: of the file, which may lie in a folder; a damaged one counts as none.
            compute: what makes them.

        Raises:
            OSError: they cannot be written.
        """
        path = self.folder / f"{name}.npz"
        try:
            with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
                return {key: torch.from_numpy(file[key]) for key in file.files}
        except (FileNotFoundError, ValueError, EOFError, zipfile.BadZipFile):
            made = dict(compute())
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as written:
            np.savez(written, **{key: tensor.numpy() for key, tensor in made.items()})  # type: ignore[arg-type]
        return made


def images_of(split: Split) -> str:
    """Return a text by which the images of a split, their order and their classes are known again."""
    told = hashlib.sha256()
    for record in split:
        told.update(f"{record.id}\0{record.label}\0".encode("utf-8", "surrogateescape"))
    return f"{len(split)} images, {told.hexdigest()[:16]}"


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}
