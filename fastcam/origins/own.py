"""fastcam's own networks: by name, or of a checkpoint of ``fastcam train`` with the method that it was trained by."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fastcam.checkpoint import TrainedFile, is_checkpoint, read_trained
from fastcam.methods import MethodExtractor, Recipe
from fastcam.models import create, imagenet_classes, read_state_dict
from fastcam.models.state_dict import differences
from fastcam.origins.library import RANDOM
from fastcam.origins.loaded import Loaded, LoadError
from fastcam.safe_load import check_values, holds_all_values, load_safely

__all__ = ["load_registered", "load_trained"]

_IMAGENET = "imagenet"


def load_trained(path: str, pooling: str | None) -> Loaded:
    """Restore the network of a checkpoint, with its method.

    Raises:
        LoadError: a file that is no checkpoint, or is damaged.
    """
    if not is_checkpoint(path):
        _check_readable(path)
        raise LoadError(
            "source",
            f"{path}: not a checkpoint of fastcam train; name the network that it holds weights of, and give it as "
            "weights",
        )
    try:
        return _restored(read_trained(path), pooling)
    except (OSError, TypeError, ValueError) as error:
        raise LoadError("source", error) from error


def load_registered(name: str, weights: Any, pooling: str | None) -> Loaded:  # noqa: ANN401
    """Build one of fastcam's networks, by default with the weights of ImageNet.

    Raises:
        LoadError: weights that cannot be had, or do not fit.
    """
    chosen = _IMAGENET if weights is None else weights
    try:
        if chosen not in (_IMAGENET, RANDOM) and is_checkpoint(chosen):
            trained = read_trained(chosen)
            if trained.recipe.model != name:
                raise ValueError(f"{chosen} is of model {trained.recipe.model!r}, got {name!r}")
            return _restored(trained, pooling)
        count = {} if chosen in (_IMAGENET, RANDOM) else _count_of(chosen)
        options: dict[str, Any] = {**count, "weights": None if chosen == RANDOM else chosen}
        model = create(name, pooling=pooling or "gap", **options)  # type: ignore[arg-type]
    except (OSError, TypeError, ValueError) as error:
        raise LoadError("weights", error) from error
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Loaded(model, model, model.inputs, imagenet_classes())


def _check_readable(path: str) -> None:
    """Say why a file cannot be read at all, where that is why it is no checkpoint."""
    if Path(path).suffix == ".safetensors":
        return
    try:
        load_safely(path, "a checkpoint", mapped=True)
    except (OSError, ValueError) as error:
        raise LoadError("source", error) from error


def _restored(trained: TrainedFile, pooling: str | None) -> Loaded:
    recipe = trained.recipe
    if pooling is not None and pooling != recipe.pooling:
        recipe = Recipe.of({**vars(recipe), "pooling": pooling, "tap_threshold": None})
    # Of the method no more is known than its weights say: what its options name, such as a file, is elsewhere.
    state = trained.method_state
    # On no device first, where a network of any size takes no memory: it has to be the one whose weights these are.
    with torch.device("meta"):
        _check_shapes(trained, *recipe.build(len(trained.classes), method_state=state))
    model, method = recipe.build(len(trained.classes), method_state=state)
    for part, weights in ((model, trained.state_dict), (method, state)):
        part.load_state_dict(weights)
    # As in training: convolutions on a CPU are faster so.
    for part in (model, method):
        part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Loaded(model, MethodExtractor(model, method), trained.inputs, trained.classes)


def _check_shapes(trained: TrainedFile, model: nn.Module, method: nn.Module) -> None:
    for part, state in ((model, trained.state_dict), (method, trained.method_state)):
        problems = differences(part.state_dict(), state)
        if problems:
            raise ValueError(f"{trained.path}: its weights are not those of its own settings: {problems}")
        check_values(trained.path, state, part.state_dict())


def _count_of(path: str | os.PathLike[str]) -> dict[str, int]:
    """Read off a file's classifier how many classes it has, by fastcam's name for it and those of others."""
    state = read_state_dict(path)
    heads = (state.get(f"{name}.weight") for name in ("classifier", "fc", "_fc"))
    head = next((one for one in heads if one is not None and one.dim() >= 2), None)
    if head is not None and not holds_all_values(head):
        raise ValueError(f"{os.fspath(path)}: its classifier of shape {tuple(head.shape)} is larger than the file")
    return {} if head is None else {"num_classes": len(head)}
