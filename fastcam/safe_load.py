"""Reading what ``torch.save`` wrote without executing any of it, or taking more memory than it has bytes."""

from __future__ import annotations

import os
import re
import reprlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["DamagedError", "check_values", "checked_tensors", "holds_all_values", "load_safely", "short"]

_ARCHIVE = b"PK\x03\x04"
_LISTED = 6  # names in a message
_LONGEST = 300  # signs of a text in a message

short = reprlib.repr
"""Like ``repr``, and short whatever a file may hold: an error must not grow with what it is about."""


class DamagedError(ValueError):
    """A file whose bytes are no longer those that were written."""


def load_safely(path: str | os.PathLike[str], what: str = "a file", *, mapped: bool = False) -> object:
    """Read a file of ``torch.save`` to the CPU.

    The archive that ``torch.save`` writes has a CRC-32 of each of its parts, which ``torch.load`` does not look at;
    here they are compared, unless the file was written without (``torch.serialization.set_crc32_options(False)``).

    Args:
        path: the file.
        what: errors call what was expected.
        mapped: read the tensors when they are looked at and not before; their bytes are then not compared.

    Raises:
        OSError: it cannot be read.
        DamagedError: its bytes are not those that were written.
        ValueError: not such a file, or one that would execute something, or grow when it is read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"a": torch.zeros(2)}, Path(folder, "a.pt"))
        ...     load_safely(Path(folder, "a.pt"))
        {'a': tensor([0., 0.])}
    """
    with open(path, "rb") as file:  # an error of the file system says so itself
        # By its first bytes, as torch.load decides; an archive whose end is missing is still to be one.
        archived = file.read(len(_ARCHIVE)) == _ARCHIVE or zipfile.is_zipfile(file)
    if archived:
        _check_archive(path, what, tensors=not mapped)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    # A file that is none fails wherever its bytes first make no sense.
    except Exception as error:
        raise ValueError(f"{Path(path)}: not {what} that can be loaded safely: {_refusal(path, error)}") from error


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
            kind = "a quantized one" if value.is_quantized else f"{value.layout} on {value.device}"
            raise ValueError(f"{Path(path)}: {short(name)} must be a dense tensor, got {kind}")
    return state


def check_values(path: str | os.PathLike[str], state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Refuse weights that no network computes with: NaN, infinity, or integers in place of weights.

    Args:
        path: the file that they come from.
        state: names to tensors.
        own: the network's tensors of the same names and shapes.

    Raises:
        ValueError: the message names the file and the tensor.
    """
    for name, value in state.items():
        if own[name].is_floating_point() and not value.is_floating_point():
            raise ValueError(
                f"{Path(path)}: {short(name)} must be floating point, got {value.dtype}; if it is quantized, save "
                "dequantized weights"
            )
        if not value.is_floating_point() or value.numel() == 0:
            continue
        # The least and the largest show a NaN and an infinity without a mask of the tensor's size.
        ends = torch.stack((value if value.itemsize > 1 else value.float()).aminmax())
        if not bool(ends.isfinite().all()):
            wrong = int((~value.float().isfinite()).sum())
            raise ValueError(
                f"{Path(path)}: {short(name)} is not finite: {wrong} of its {value.numel()} values are NaN or "
                "infinite, as after a training that diverged; load an earlier checkpoint"
            )


def holds_all_values(tensor: Tensor) -> bool:
    """Whether a tensor takes as much room as its shape says: one of stride 0 takes none, however large it is."""
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _refusal(path: str | os.PathLike[str], error: Exception) -> str:
    """Say why ``torch.load`` refused a file: what is in it, and how to save it instead."""
    text = str(error)
    try:
        found = torch.serialization.get_unsafe_globals_in_checkpoint(os.fspath(path))
    # Of a file that is none, or in the format before PyTorch 1.6, the error names the first.
    except Exception:
        found = re.findall(r"GLOBAL (\S+) was not an allowed", text)
    if not found:
        inner = re.search(r"WeightsUnpickler error:\s*(.+)", text)
        return _printable(inner[1] if inner else text.split("\n")[0] or type(error).__name__)
    listed = ", ".join(map(_printable, sorted(found)[:_LISTED]))
    listed += f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    weights = "the weights alone as torch.save(model.state_dict(), path)"
    if all(one.startswith(("numpy.", "_codecs.")) for one in found):
        return (
            f"it holds numbers or arrays of NumPy ({listed}), which are read only by running what the file says; save "
            f"numbers as float(x) or int(x), arrays as torch.from_numpy(x), or {weights}"
        )
    return f"it holds more than tensors and plain values ({listed}), which would run code; save {weights}"


def _printable(text: str) -> str:
    """Text of a file for a message: nothing in it acts on a terminal, and it is not long."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    plain = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in plain)
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}..."


def _check_archive(path: str | os.PathLike[str], what: str, *, tensors: bool) -> None:
    """Refuse what is compressed, for it may be a thousand times as large when it is read, and what is damaged."""
    place = f"{Path(path)}: not {what} that can be loaded safely"
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            scripted = any(one.filename.endswith("/constants.pkl") for one in parts)
            # torch.save compresses nothing.
            stored = all(one.compress_type == zipfile.ZIP_STORED for one in parts)
            larger = not stored or sum(one.file_size for one in parts) > os.path.getsize(path)
            if not larger and not scripted and any(one.CRC for one in parts):
                for one in parts:
                    if tensors or "/data/" not in one.filename:
                        _read_through(archive, one)
    # A flipped bit of what says where the parts are makes zipfile fail in any way.
    except Exception as error:
        raise DamagedError(
            f"{place}: it is damaged or incomplete ({error}); its bytes are not those that were written, take another "
            "copy of it"
        ) from error
    if scripted:
        advice = "save the state_dict() of what torch.jit.load returns"
        raise ValueError(f"{place}: it is a TorchScript archive; {advice}")
    if larger:
        raise ValueError(f"{place}: it is larger when read than on the disk")


def _read_through(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    """Read a part of an archive, which compares its CRC-32."""
    # Of a folder torch.load reads nothing, and leaves the tensor's memory as it was.
    if part.filename.endswith("/") or part.external_attr & 0x10:
        raise zipfile.BadZipFile(f"{part.filename} is a folder")
    with archive.open(part) as file:
        while file.read(1 << 20):
            pass
