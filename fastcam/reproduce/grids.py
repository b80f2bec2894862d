"""Tables 1, 2 and 4 of the paper: methods and networks, each with and without its techniques."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from fastcam.methods import METHODS
from fastcam.methods.table import why_not
from fastcam.protocol import AUTHORS, PAPER, Protocol
from fastcam.reproduce.table import Row, Table, Training
from fastcam.reproduce.tables import NOT_OURS

__all__ = ["BACKBONES", "GRIDS", "PROTOCOLS", "grid", "titles_of"]

BACKBONES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "vgg16": "VGG16",
        "resnet50": "ResNet50",
        "resnet50-se": "ResNet50-SE",
        "mobilenetv1": "MobileNetV1",
        "googlenet": "GoogleNet",
    }
)
"""The paper's networks by their names here, as the paper calls them."""

PROTOCOLS: Final[Mapping[str, Protocol]] = MappingProxyType({"paper": PAPER, "authors": AUTHORS})
"""By what boxes are found and compared: the equations, or the released code."""


def grid(title: str, backbones: Sequence[str], methods: Sequence[str], base: Protocol = PAPER) -> Table:
    """Return every pair of network and method as a family: the method alone, and with TAP, NWC and PaS ("Ours").

    A method that pools in a way of its own keeps that; "Ours" is then NWC and PaS alone. What the literature does not
    define is in :attr:`fastcam.reproduce.Table.undefined`, with the reason.

    Args:
        title: of the table.
        backbones: names of networks.
        methods: names of methods.
        base: the protocol with all techniques; without them it has no clamping, the maximum and the threshold 0.2.

    Example:
        >>> table = grid("Mine", ["vgg16", "mobilenetv1"], ["has", "acol"])
        >>> list(table.families), [row.name for row in table.families["vgg16/has"]]
        (['vgg16/has', 'vgg16/acol', 'mobilenetv1/has'], ['HaS', 'HaS + Ours'])
        >>> list(table.undefined)
        ['vgg16/acol/ours', 'mobilenetv1/acol']
    """
    plain = base.replace(clamp_negative=False, percentile=100, threshold=0.2)
    families: dict[str, tuple[Row, ...]] = {}
    undefined: dict[str, str] = {}
    for backbone in backbones:
        for method in methods:
            family, name = f"{backbone}/{method}", METHODS[method].__name__
            reason = why_not(method, backbone)
            if reason is not None:
                undefined[family] = reason
                continue
            rows = [Row(name, _training(backbone, method, "gap"), plain, {"ours": False})]
            if method in NOT_OURS:
                undefined[f"{family}/ours"] = NOT_OURS[method]
            else:
                pooling = "gap" if getattr(METHODS[method], "replaces_pooling", False) else "tap"
                rows.append(Row(f"{name} + Ours", _training(backbone, method, pooling), base, {"ours": True}))
            families[family] = tuple(rows)
    return Table(title, MappingProxyType(families), undefined=MappingProxyType(undefined))


def titles_of(family: str) -> tuple[str, str]:
    """Return what network and method of a family are called in text.

    Example:
        >>> titles_of("resnet50-se/has")
        ('ResNet50-SE', 'HaS')
    """
    backbone, method = family.split("/")[:2]
    return BACKBONES.get(backbone, backbone), METHODS[method].__name__


def _training(backbone: str, method: str, pooling: str) -> Training:
    return Training.of(model=backbone, method=method, pooling=pooling)


_OTHERS = tuple(name for name in METHODS if name != "cam")

GRIDS: Final[Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]]] = MappingProxyType(
    {
        "table1": ("Methods and networks, with and without TAP, NWC and PaS", tuple(BACKBONES), _OTHERS),
        "table2": (
            "Networks, with and without TAP, NWC and PaS",
            ("vgg16", "resnet50-se", "mobilenetv1", "googlenet"),
            ("cam",),
        ),
        "table4": (
            "Masks, with and without TAP, NWC and PaS",
            ("vgg16", "googlenet", "resnet50"),
            ("cam", *_OTHERS),
        ),
    }
)
"""What :func:`grid` takes for each of the paper's tables: title, networks and methods."""
