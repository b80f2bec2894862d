"""Figure 6: methods and networks, each with and without the three techniques: :func:`figure6`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fastcam.checkpoint import read_trained
from fastcam.data import Split
from fastcam.evaluation.plots import empty_figure
from fastcam.methods import METHODS
from fastcam.network import Network
from fastcam.protocol import PAPER, VANILLA
from fastcam.reproduce.figures.drawn import Drawn, sentence, told_difference
from fastcam.reproduce.figures.networks import trained_network
from fastcam.reproduce.figures.panels import Located, draw_panel, evenly, locate
from fastcam.reproduce.grids import BACKBONES
from fastcam.reproduce.statistics import paired_difference
from fastcam.training.config import ConfigError

__all__ = ["Pair", "figure6"]


@dataclass(frozen=True)
class Pair:
    """One method on one network.

    Attributes:
        title: what it is called.
        without: the network that is localized with none of the techniques.
        ours: the one with all of them, trained with TAP where the method does not pool in a way of its own.
    """

    title: str
    without: Network
    ours: Network

    @classmethod
    def trained(cls, without: Path, ours: Path, classes: Sequence[str], *, device: torch.device) -> Pair:
        """Load two checkpoints, of one method and one network.

        Raises:
            ConfigError: checkpoints of other classes, of two methods or networks, or with another pooling than that
                of their place.
        """
        recipes = [read_trained(path).recipe for path in (without, ours)]
        for name in ("model", "method"):
            one, other = (getattr(recipe, name) for recipe in recipes)
            if one != other:
                raise ConfigError(f"{without} and {ours} must be of one {name}, got {one!r} and {other!r}")
        method = METHODS[recipes[0].method]
        own = getattr(method, "replaces_pooling", False)
        networks = [
            trained_network(path, recipe, classes, pooling=None if own else pooling, device=device)
            for path, recipe, pooling in zip((without, ours), recipes, ("gap", "tap"), strict=True)
        ]
        model = recipes[0].model
        return cls(f"{BACKBONES.get(model, model)}, {method.__name__}", *networks)


def figure6(pairs: Sequence[Pair], split: Split, *, panels: int = 4, workers: int = 0) -> Drawn:
    """Draw pictures with the boxes of each pair of networks, without and with the techniques.

    Args:
        pairs: at least one.
        split: pictures with boxes, all of which are counted.
        panels: how many are drawn, spread evenly over the split.
        workers: processes that decode.

    Raises:
        ValueError: no pairs, or two of one title.
    """
    titles = [pair.title for pair in pairs]
    if not pairs or len(set(titles)) < len(titles):
        raise ValueError(f"pairs must be at least one, each of another method or network, got {titles}")
    shown = evenly(len(split), panels)
    figure = empty_figure(2.2 * len(shown), 5 * len(pairs) + 0.4)
    axes = figure.subplots(2 * len(pairs), len(shown), squeeze=False)
    rows: dict[str, Any] = {}
    told = []
    for place, pair in enumerate(pairs):
        both = []
        for line, network, protocol, name in (
            (axes[2 * place], pair.without, VANILLA, "without"),
            (axes[2 * place + 1], pair.ours, PAPER, "ours"),
        ):
            found = locate(network, split, {name: protocol}, shown, workers=workers)[name]
            for axis, number in zip(line, shown, strict=True):
                draw_panel(axis, network, split, number, found)
            label = pair.title if name == "without" else f"{pair.title} + Ours"
            line[0].set_ylabel(f"{label}\n{100 * found.gt_loc:.0f}% right", fontsize=9)
            rows[label] = found.to_json(split)
            both.append(found)
        told.append(_told(pair.title, *both))
    figure.supxlabel("solid: true box; dashed: found box; right: IoU of 0.5 or more, of all pictures", fontsize=8)
    numbers = {"rows": rows, "drawn": [split[number].id for number in shown]}
    return Drawn(figure, numbers, sentence([f"of {len(split)} pictures the box is right: {told[0]}", *told[1:]]))


def _told(title: str, without: Located, ours: Located) -> str:
    mean, interval = told_difference(paired_difference(ours.ious[None] >= 0.5, without.ious[None] >= 0.5).to_json())
    return (
        f"{title} {100 * without.gt_loc:.1f}%, with the three techniques {100 * ours.gt_loc:.1f}% "
        f"({mean} points, {interval})"
    )
