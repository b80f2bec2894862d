"""libfastcam by ctypes: its functions, and its statuses as errors."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["Protocol", "address", "call"]

_NAMES: Final = ("libfastcam.so", "libfastcam.dylib")
_NO_MEMORY: Final = (4, 9)


def _loaded() -> ctypes.CDLL:
    here = Path(__file__).parent
    for path in (here / name for name in _NAMES):
        if path.exists():
            return ctypes.CDLL(str(path))
    raise ImportError(f"{' or '.join(_NAMES)} must stand in {here}: install the package with pip")


_library: Final = _loaded()
_library.fastcam_message.restype = ctypes.c_char_p


def call(function: str, *arguments: Any) -> None:  # noqa: ANN401
    """Call a function by its name without ``fastcam_``.

    Raises:
        MemoryError: there is not enough memory.
        ValueError: whatever else it refuses.
    """
    status = getattr(_library, f"fastcam_{function}")(*arguments)
    if status in _NO_MEMORY:
        raise MemoryError(_message(status))
    if status:
        raise ValueError(_message(status))


def _message(status: int) -> str:
    text: bytes = _library.fastcam_message(status)
    return text.decode()


def address(array: npt.NDArray[Any]) -> ctypes.c_void_p:
    """Where the elements of a contiguous array stand."""
    return ctypes.c_void_p(array.ctypes.data)


class Protocol:
    """A named protocol of the library, with some of its fields changed.

    Args:
        name: of the protocol.
        fields: names of fields and their values, as ``fastcam.Protocol`` has them.

    Raises:
        TypeError: a field that there is not, or a name that is no string.
        ValueError: an unknown name, or a value that the field cannot have.
    """

    def __init__(self, name: str, fields: Mapping[str, Any]) -> None:
        self.handle = self._as_parameter_ = ctypes.c_void_p()  # what ctypes passes for it
        if not isinstance(name, str):
            raise TypeError(f"protocol must be a name, got {name!r}")
        try:
            call("protocol_create", name.encode(), ctypes.byref(self.handle))
        except ValueError as error:
            raise ValueError(f"protocol={name!r} is unknown: {error}") from None
        for field, value in fields.items():
            self._set(field, value)

    def _set(self, field: str, value: object) -> None:
        status = _library.fastcam_protocol_set(self.handle, field.encode(), _word(value).encode())
        if status == 6:
            raise TypeError(f"a protocol has no field {field!r}")
        if status:
            raise ValueError(f"{field}={value!r} is no value of that field")

    def __del__(self) -> None:
        _library.fastcam_protocol_destroy(self.handle)


def _word(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    return repr(float(value)) if isinstance(value, float | np.floating) else str(value)
