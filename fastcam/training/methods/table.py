"""Which method goes with which model: what the literature defines, as data."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastcam.training.methods.acol import ACoL
from fastcam.training.methods.adl import ADL
from fastcam.training.methods.cam import CAM
from fastcam.training.methods.cutmix import CutMix
from fastcam.training.methods.has import HaS
from fastcam.training.methods.method import Method
from fastcam.training.methods.spg import SPG

__all__ = ["COMPATIBILITY", "METHODS", "create_method", "why_not"]

METHODS: Mapping[str, type[Method]] = MappingProxyType(
    {method.name: method for method in (CAM, HaS, ADL, CutMix, ACoL, SPG)}
)
"""Every method's class by its name."""

_ANY = "acts on images and labels alone: any classifier"
_ALIKE = "no publication gives positions; those of ResNet50's counterparts (adl_positions)"
_NO_BRANCHES = "SPG and wsolevaluation define its branches for InceptionV3, VGG16 and ResNet50 only"
_NO_CLASSIFIERS = (
    "ACoL and wsolevaluation define its two classifiers for VGG16, GoogLeNet/InceptionV3 and ResNet50 only"
)

COMPATIBILITY: Mapping[str, Mapping[str, tuple[bool, str]]] = MappingProxyType(
    {
        "cam": {
            "vgg16": (True, _ANY),
            "resnet50": (True, _ANY),
            "resnet50-se": (True, _ANY),
            "mobilenetv1": (True, _ANY),
            "googlenet": (True, _ANY),
            "efficientnet-lite0": (True, _ANY),
        },
        "has": {
            "vgg16": (True, _ANY),
            "resnet50": (True, _ANY),
            "resnet50-se": (True, _ANY),
            "mobilenetv1": (True, _ANY),
            "googlenet": (True, _ANY),
            "efficientnet-lite0": (True, _ANY),
        },
        "cutmix": {
            "vgg16": (True, _ANY),
            "resnet50": (True, _ANY),
            "resnet50-se": (True, _ANY),
            "mobilenetv1": (True, _ANY),
            "googlenet": (True, _ANY),
            "efficientnet-lite0": (True, _ANY),
        },
        "adl": {
            "vgg16": (True, "ADL; wsolevaluation"),
            "resnet50": (True, "wsolevaluation"),
            "resnet50-se": (True, "ADL"),
            "mobilenetv1": (True, _ALIKE),
            "googlenet": (True, "ADL; wsolevaluation, InceptionV3"),
            "efficientnet-lite0": (True, _ALIKE),
        },
        "acol": {
            "vgg16": (True, "ACoL; wsolevaluation"),
            "resnet50": (True, "wsolevaluation"),
            "resnet50-se": (False, _NO_CLASSIFIERS),
            "mobilenetv1": (False, _NO_CLASSIFIERS),
            "googlenet": (True, "ACoL, GoogLeNet; wsolevaluation, InceptionV3"),
            "efficientnet-lite0": (False, _NO_CLASSIFIERS),
        },
        "spg": {
            "vgg16": (True, "wsolevaluation"),
            "resnet50": (True, "wsolevaluation"),
            "resnet50-se": (False, _NO_BRANCHES),
            "mobilenetv1": (False, _NO_BRANCHES),
            "googlenet": (True, "SPG; wsolevaluation, InceptionV3"),
            "efficientnet-lite0": (False, _NO_BRANCHES),
        },
    }
)
"""For each method and model, whether the pair is defined, and where, or why not."""


def why_not(method: str, model: str) -> str | None:
    """Return why a pair is not defined; None where it is, or where one of the names is unknown."""
    defined, reason = COMPATIBILITY.get(method, {}).get(model, (True, ""))
    return None if defined else reason


def create_method(name: str, **options: Any) -> Method:  # noqa: ANN401
    """Build a method.

    Args:
        name: one of :data:`METHODS`.
        options: its arguments; the defaults are wsolevaluation's.

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
