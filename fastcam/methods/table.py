"""Which method goes with which model: what the literature defines, as a table."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastcam.methods.acol import ACoL
from fastcam.methods.adl import ADL
from fastcam.methods.cam import CAM
from fastcam.methods.cutmix import CutMix
from fastcam.methods.danet import DANet
from fastcam.methods.has import HaS
from fastcam.methods.method import Method
from fastcam.methods.spg import SPG
from fastcam.methods.wildcat import WELDON, WILDCAT
from fastcam.models import NETWORKS

__all__ = ["COMPATIBILITY", "METHODS", "create_method", "why_not"]

METHODS: Mapping[str, type[Method]] = MappingProxyType(
    {method.name: method for method in (CAM, HaS, ADL, CutMix, ACoL, SPG, DANet, WELDON, WILDCAT)}
)
"""Every method's class by its name."""

COMPATIBILITY: Mapping[str, Mapping[str, tuple[bool, str]]] = MappingProxyType(
    {name: {network: method.defined_for(network) for network in NETWORKS} for name, method in METHODS.items()}
)
"""For each method and network, whether the pair is defined, and where, or why not."""


def why_not(method: str, model: str) -> str | None:
    """Return why a pair is not defined; None where it is, or where one of the names is unknown."""
    defined, reason = COMPATIBILITY.get(method, {}).get(model, (True, ""))
    return None if defined else reason


def create_method(name: str, **options: Any) -> Method:  # noqa: ANN401
    """Build a method.

    Args:
        name: one of :data:`METHODS`.
        options: its arguments; the defaults are wsolevaluation's where it has the method.

    Raises:
        ValueError: an unknown name, or an option out of range.
        TypeError: an option that the method does not have.

    Example:
        >>> create_method("has", drop_rate=0.4)
        HaS(patch=32, drop_rate=0.4)
    """
    if name not in METHODS:
        close = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(METHODS)}"
        raise ValueError(f"method={name!r} is unknown; {hint}")
    known = inspect.signature(METHODS[name]).parameters
    for option in options:
        if option not in known:
            raise TypeError(f"{name} has no option {option!r}; it has {', '.join(known) or 'none'}")
    return METHODS[name](**options)
