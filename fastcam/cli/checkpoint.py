"""The network of ``--checkpoint`` and ``--model``: one of the paper's, with as many classes as its weights have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch

from fastcam.cli.network import Network, NetworkOptions, load_network, named_device
from fastcam.localizer import Localizer
from fastcam.models import NETWORKS, Classifier, create, read_state_dict

__all__ = ["load_checkpoint", "trained_size"]


def load_checkpoint(options: NetworkOptions, model: str | None, pooling: str | None) -> Network:
    """Load a network for evaluation.

    A checkpoint that ``fastcam train`` wrote says itself which network it is, its pooling and its classes. The weights
    of another of :data:`fastcam.models.NETWORKS` say how many classes there are; what has no such name is loaded as
    ``fastcam localize`` does.

    Args:
        options: with the checkpoint as ``weights``.
        model: its name, where it was given.
        pooling: likewise.

    Raises:
        click.ClickException: an option that cannot be met; the message names it.
    """
    said, classes = _said(options.weights)
    name = model or said.get("model") or options.model
    if options.weights is None or name not in NETWORKS:
        return load_network(replace(options, model=name))
    network = _build(options.weights, name, pooling or said.get("pooling") or "gap", said)
    given = {"size": options.input_size, "mean": options.mean, "std": options.std}
    preprocessing = replace(network.preprocessing, **{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    device = named_device(options.device)
    localizer = Localizer(network.to(device).eval(), features="pool:input", classifier="classifier")
    count = localizer.num_classes
    names = classes if len(classes) == count else tuple(f"class {number}" for number in range(count))
    return Network(localizer, preprocessing, names, device)


def trained_size(path: Path | None) -> tuple[int, int] | None:
    """Return the (H, W) that a checkpoint of ``fastcam train`` was trained and judged at; None of any other file."""
    crop = _said(path)[0].get("crop")
    return (crop, crop) if isinstance(crop, int) else None


def _said(path: Path | None) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The training's settings and the names of the classes, where a checkpoint has them."""
    if path is None:
        return {}, ()
    try:
        # Mapped: the weights themselves are not read here.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    # Whatever it is instead of a checkpoint, reading its weights will say so.
    except Exception:
        return {}, ()
    if not isinstance(content, Mapping) or not isinstance(content.get("config"), Mapping):
        return {}, ()
    return content["config"], tuple(content.get("classes", ()))


def _build(path: Path, name: str, pooling: str, said: Mapping[str, Any]) -> Classifier:
    try:
        state = read_state_dict(path)
        head = state.get("classifier.weight")
        count = {} if head is None else {"num_classes": len(head)}
        threshold = said.get("tap_threshold") if pooling == "tap" else None
        extra = {} if threshold is None else {"tap_threshold": threshold}
        return create(name, pooling=pooling, weights=path, **count, **extra, **said.get("model_options", {}))  # type: ignore[arg-type]
    except (ImportError, OSError, TypeError, ValueError) as error:
        raise click.BadParameter(str(error), param_hint="--checkpoint") from error
