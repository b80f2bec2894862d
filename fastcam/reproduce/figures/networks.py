"""What the figures look at: networks with GAP and with TAP, and a sample of test pictures with boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch

from fastcam.checkpoint import read_trained
from fastcam.data import Split
from fastcam.extractors import Extraction
from fastcam.extractors.extraction import LinearExtraction
from fastcam.methods import Recipe
from fastcam.models import Classifier
from fastcam.network import Network
from fastcam.pooling import TAP
from fastcam.reproduce.backbone import FrozenBackbone
from fastcam.reproduce.budget import Budget
from fastcam.reproduce.tables import NOT_OURS, TABLE_3
from fastcam.sources import load
from fastcam.training.config import ConfigError, TrainingConfig
from fastcam.training.engine import Fabric

__all__ = ["frozen_networks", "linear", "sampled", "tap_threshold", "trained_network", "trained_networks"]


def sampled(split: Split, count: int, seed: int = 0) -> Split:
    """Return some of a split's pictures, drawn without replacement and in the order of the split; all, if it has fewer.

    Args:
        split: with a box in every picture.
        count: how many.
        seed: settles the draw.

    Raises:
        ValueError: a split without pictures, or whose pictures do not all have a box; fewer than one picture asked for.

    Example:
        >>> from fastcam.data import Record
        >>> box = np.array([[0.0, 0, 9, 9]])
        >>> records = tuple(Record(f"{i}.png", Path(f"{i}.png"), 0, box) for i in range(9))
        >>> [one.id for one in sampled(Split("toys", "test", records, ("cube",)), 3)]
        ['2.png', '4.png', '5.png']
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if not len(split):
        raise ValueError(f"{split.dataset} {split.name} has no pictures")
    if not split.has_boxes:
        raise ValueError(f"the figures compare with true boxes: {split.dataset} {split.name} has pictures without")
    drawn = np.random.default_rng(seed).permutation(len(split))[:count]
    return replace(split, records=tuple(split[number] for number in sorted(drawn.tolist())))


def trained_network(
    path: Path, recipe: Recipe, classes: Sequence[str], *, pooling: str | None = None, device: torch.device
) -> Network:
    """Load a checkpoint of ``fastcam train``.

    Args:
        path: the file.
        recipe: what it says of the training.
        classes: of the data, by label, which have to be the network's.
        pooling: that it has to be trained with.
        device: where the network goes.

    Raises:
        ConfigError: it has another pooling or other classes, or its method has a map of its own.
        LoadError: no checkpoint, or a damaged one; a ValueError.
        OSError: it cannot be read.
    """
    if recipe.method in NOT_OURS:
        raise ConfigError(
            f"{path}: its method {recipe.method!r} has no form with the three techniques: {NOT_OURS[recipe.method]}"
        )
    if pooling is not None and recipe.pooling != pooling:
        raise ConfigError(f"{path} must be trained with pooling {pooling!r}, got {recipe.pooling!r}")
    network = load(path, device=device)
    if network.classes != tuple(classes):
        other = next((pair for pair in zip(network.classes, classes, strict=False) if pair[0] != pair[1]), None)
        differ = (
            f"{len(network.classes)} classes and {len(classes)}" if other is None else f"{other[0]!r} and {other[1]!r}"
        )
        raise ConfigError(f"{path} was trained on other classes than the data has: {differ}")
    return network


def trained_networks(gap: Path, tap: Path, classes: Sequence[str], *, device: torch.device) -> dict[str, Network]:
    """Load two checkpoints that differ in their pooling; see :func:`trained_network`.

    Returns:
        ``GAP`` and ``TAP``.

    Raises:
        ConfigError: they are of two architectures, or see pictures in two ways.
    """
    first, second = (read_trained(path).recipe for path in (gap, tap))
    networks = {
        "GAP": trained_network(gap, first, classes, pooling="gap", device=device),
        "TAP": trained_network(tap, second, classes, pooling="tap", device=device),
    }
    for name in ("model", "model_options", "method"):
        one, other = getattr(first, name), getattr(second, name)
        if one != other:
            raise ConfigError(f"{gap} and {tap} must differ in their pooling alone, got {name} {one!r} and {other!r}")
    if networks["GAP"].inputs != networks["TAP"].inputs:
        sizes = " and ".join(f"{one.inputs.size[0]}x{one.inputs.size[1]}" for one in networks.values())
        raise ConfigError(f"{gap} and {tap} must see pictures alike, got other inputs ({sizes})")
    return networks


def frozen_networks(
    config: TrainingConfig, engine: Fabric, out: Path, training: Split, testing: Split, seed: int = 0
) -> dict[str, Network]:
    """Train a classifier with GAP and one with TAP on a frozen backbone, as ``fastcam ablate`` does with its defaults.

    What a table left in ``out`` is taken from there.

    Args:
        config: data, model, weights, crop and TAP threshold.
        engine: where.
        out: folder of what is kept.
        training: the training pictures.
        testing: all test pictures, by which what is kept is known.
        seed: of the classifiers.

    Returns:
        ``GAP`` and ``TAP``.
    """
    trainings = TABLE_3.trainings
    budget = Budget(None, engine)
    backbone = FrozenBackbone(config, engine, out, trainings, training, search=None, budget=budget)
    kept = backbone.kept_of(testing)
    return {one.title: backbone.network(one, seed, kept) for one in trainings}


def tap_threshold(networks: Mapping[str, Network]) -> float:
    """Return the threshold of the network with TAP, or, where there is none, the paper's for the architecture."""
    models = [cast("Classifier", network.model) for network in networks.values()]
    own = (model.pool.threshold for model in models if isinstance(model.pool, TAP))
    return float(next(own, models[0].tap_threshold))


def linear(extraction: Extraction, title: str) -> LinearExtraction:
    """Return an extraction whose maps are weighted sums of channels.

    Raises:
        ConfigError: it is another.
    """
    if not isinstance(extraction, LinearExtraction):
        raise ConfigError(f"{title}: its maps are no weighted sums of channels, so there are no weights to look at")
    return extraction
