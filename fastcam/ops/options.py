"""A protocol among an operator's arguments: operators take plain values, so its fields are passed one by one."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Final, get_args, get_type_hints

from fastcam.ops.core import core
from fastcam.protocol import RULES, Protocol, check_fields

__all__ = ["SCHEMA", "core_protocol", "protocol_of"]

_NAMES: Final = tuple(field.name for field in dataclasses.fields(Protocol))
_KEPT: Final = 1024  # protocols that stay rebuilt: a scan over a thousand thresholds meets each of them again


def _schema() -> str:
    hints = get_type_hints(Protocol)
    return ", ".join(f"{_type_name(hints[name])} {name}" for name in _NAMES)


def _type_name(hint: Any) -> str:  # noqa: ANN401
    if isinstance(hint, type):
        return hint.__name__
    choices = get_args(hint)
    if type(None) in choices:  # or None
        return f"{_type_name(choices[0])}?"
    return choices[0].__name__ if isinstance(choices[0], type) else type(choices[0]).__name__


SCHEMA: Final = _schema()
"""The fields as an operator's schema declares them, in the order of ``Protocol.values``."""


@functools.lru_cache(maxsize=_KEPT)
def protocol_of(*values: Any) -> Protocol:  # noqa: ANN401
    """Return the protocol with these ``Protocol.values``.

    They are checked here too, for whoever calls an operator directly, but once for all calls: the result is kept. Of a
    low percentile the user was warned where the protocol was made.

    Raises:
        ValueError: a field outside its range.
    """
    protocol = object.__new__(Protocol)
    for name, value in zip(_NAMES, values, strict=True):
        object.__setattr__(protocol, name, value)
    for rule, number in RULES.items():
        if protocol.threshold == number:
            object.__setattr__(protocol, "threshold", rule)
    check_fields(protocol)
    object.__setattr__(protocol, "values", values)
    return protocol


@functools.lru_cache(maxsize=_KEPT)
def core_protocol(*values: Any) -> core.Protocol:  # noqa: ANN401
    """Return the same protocol for the functions of the compiled core, with the fields that it reads.

    Raises:
        ValueError: a word that the core does not know.
    """
    protocol_of(*values)
    given = dict(zip(_NAMES, values, strict=True))
    return core.Protocol(**{name: given[name] for name in core.Protocol.fields})
