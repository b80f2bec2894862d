"""The tables of the paper that can be run on one's own data."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fastcam.methods import METHODS
from fastcam.protocol import AUTHORS, PAPER, VANILLA, Protocol
from fastcam.reproduce.table import Row, Table, Training
from fastcam.training.config import ConfigError, TrainingConfig

__all__ = ["NOT_OURS", "TABLES", "TABLE_3", "with_techniques"]

NOT_OURS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "acol": "its map is the larger of two classifiers' maps: not a single class activation map to clamp",
        "spg": "the literature has it without the three techniques alone",
    }
)
"""Methods that the paper's techniques are not defined for, and why."""

_POOLINGS = {False: Training.of(pooling="gap"), True: Training.of(pooling="tap")}


def _row(base: Protocol, tap: bool, nwc: bool, pas: bool) -> Row:
    """One combination of the three techniques, at the paper's settings.

    Args:
        base: the protocol with all of them.
        tap: thresholded average pooling in place of global average pooling, in training.
        nwc: negative weight clamping.
        pas: the 90th percentile in place of the maximum, and the threshold 0.35 in place of 0.2.
    """
    used = " + ".join(name for name, on in (("TAP", tap), ("NWC", nwc), ("PaS", pas)) if on)
    percentile, threshold = (90, 0.35) if pas else (100, 0.2)
    protocol = base.replace(clamp_negative=nwc, percentile=percentile, threshold=threshold)
    return Row(used or "baseline", _POOLINGS[tap], protocol, {"tap": tap, "nwc": nwc, "pas": pas})


def _combinations(base: Protocol) -> tuple[Row, ...]:
    """All eight, in the order of the paper; the first is the baseline, the last has everything."""
    order = ("000", "100", "010", "001", "110", "101", "011", "111")
    return tuple(_row(base, *(letter == "1" for letter in bits)) for bits in order)


TABLE_3: Final = Table(
    "Ablation",
    MappingProxyType({"PAPER/VANILLA": _combinations(PAPER), "AUTHORS": _combinations(AUTHORS)}),
    not_for=tuple(NOT_OURS),
)
"""TAP x NWC x PaS: by the equations taken literally, whose boxes are half-open, and as the released code does."""

TABLES: Final[Mapping[str, Table]] = MappingProxyType({"table3": TABLE_3})
"""The tables by the names that a command line takes."""


def with_techniques(config: TrainingConfig, *, ours: bool) -> tuple[TrainingConfig, Protocol]:
    """Return a training and the protocol of its test with the paper's three techniques, or without any of them.

    Args:
        config: a training; its pooling does not count, and stays where the method pools in a way of its own.
        ours: TAP in training, NWC and PaS in localization.

    Raises:
        ConfigError: a method that they are not defined for.

    Example:
        >>> config, protocol = with_techniques(TrainingConfig(data="birds", method="has"), ours=True)
        >>> config.pooling, protocol == PAPER
        ('tap', True)
    """
    if ours and config.method in NOT_OURS:
        raise ConfigError(f"method {config.method!r} has no form with the three techniques: {NOT_OURS[config.method]}")
    protocol = PAPER if ours else VANILLA
    if getattr(METHODS.get(config.method), "replaces_pooling", False):
        return config, protocol
    return _POOLINGS[ours].applied(config), protocol
