"""``torchvision:NAME``: classifiers of torchvision, with its weights, preprocessing and class names."""

from __future__ import annotations

import os
import warnings
from typing import Any

from torch import nn

from fastcam.inputs import Inputs
from fastcam.models import read_state_dict
from fastcam.origins.library import RANDOM, brief, build_and_load, check_name, import_library, proved_inputs
from fastcam.origins.loaded import Loaded, LoadError

__all__ = ["load_torchvision"]

# They draw truncated normal values by a slow way unless told not to, and have classifiers beside the last one.
_WITH_BRANCHES = ("googlenet", "inception_v3")


def load_torchvision(name: str, weights: str | os.PathLike[str] | None) -> Loaded:
    """Load a classifier of torchvision.

    Args:
        name: as ``torchvision.models.get_model`` takes it; ``"resnet50.IMAGENET1K_V1"`` names its weights too.
        weights: a file; None: the pretrained ones, which torchvision downloads or has; or ``"random"``.

    Raises:
        ImportError: torchvision is not installed.
        LoadError: it has no such network, or the weights cannot be had.
    """
    models = import_library("torchvision.models", "torchvision")
    plain, _, tag = name.partition(".")
    check_name(plain, models.list_models(module=models), "torchvision")
    choices = models.get_model_weights(plain).__members__
    if tag and tag not in choices:
        raise LoadError("source", f"torchvision's {plain} has no weights {tag!r}; it has {', '.join(choices)}")
    entry = choices[tag or "DEFAULT"]

    def build(count: int | None, chosen: Any = None) -> nn.Module:  # noqa: ANN401
        options: dict[str, Any] = {} if count is None else {"num_classes": count}
        if chosen is None and plain in _WITH_BRANCHES:
            options.update(init_weights=False, aux_logits=_has_branches(weights))
        try:
            model: nn.Module = models.get_model(plain, weights=chosen, **options)
        # Whatever a download raises.
        except Exception as error:
            what = "source" if chosen is None else "weights"
            hint = "" if chosen is None else "; weights=FILE loads them from a file"
            raise LoadError(what, f"torchvision could not make {name}: {brief(error)}{hint}") from error
        return model

    # By default a network has the classes that its weights were trained on.
    names = tuple(entry.meta.get("categories", ()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torchvision's own code
        model = build(None, entry) if weights is None else build_and_load(build, weights, lambda _: len(names))
    transform = entry.transforms()
    try:
        inputs, why = proved_inputs([_inputs(transform)], transform, f"torchvision's {name}"), ""
    except ValueError as error:
        inputs, why = None, str(error)
    return Loaded(model, None, inputs, names, why)


def _has_branches(weights: Any) -> bool:  # noqa: ANN401
    """Whether a file has the classifiers beside the last one, which torchvision leaves out of its trained networks."""
    if weights is None or weights == RANDOM:
        return False
    try:
        return any(name.lower().startswith("aux") for name in read_state_dict(weights))
    except (OSError, ImportError, ValueError) as error:
        raise LoadError("weights", error) from error


def _inputs(transform: Any) -> Inputs | None:  # noqa: ANN401
    """Read torchvision's ``ImageClassification``; None where it is another preset."""
    try:
        (resize,), (crop,) = transform.resize_size, transform.crop_size
        return Inputs(
            (resize, resize),
            (crop, crop),
            filter=transform.interpolation.value,
            mean=tuple(transform.mean),
            std=tuple(transform.std),
            fit="cover",
            crop_offset="round",
        )
    except (AttributeError, TypeError, ValueError):
        return None
