"""Modules of one's own: an ``nn.Module``, or ``"package.module:factory"``."""

from __future__ import annotations

import importlib
import os
import sys
from operator import attrgetter
from typing import Any

from torch import nn

from fastcam.models import Classifier, load_weights
from fastcam.models.state_dict import load_all
from fastcam.origins.library import RANDOM
from fastcam.origins.loaded import Loaded, LoadError

__all__ = ["from_factory", "load_module"]


def load_module(model: nn.Module, weights: Any) -> Loaded:  # noqa: ANN401
    """Take a module as it is, or with the weights of a file, which must be all of its own.

    Raises:
        LoadError: weights that do not fit.
    """
    if weights == RANDOM:
        raise LoadError("weights", "weights='random' goes with a name of a network; a module has weights of its own")
    if weights is not None:
        try:
            if isinstance(model, Classifier):
                load_weights(model, weights)
            else:
                load_all(model, weights)
        except (OSError, ValueError) as error:
            raise LoadError("weights", error) from error
    return Loaded(model, model, model.inputs) if isinstance(model, Classifier) else Loaded(model)


def from_factory(name: str) -> nn.Module:
    """Import ``"package.module:factory"``, from the working folder too, and call the factory.

    Raises:
        LoadError: there is none, or what it returns is no module.
    """
    module_name, _, attribute = name.partition(":")
    # An installed command does not have the working directory on its path, where the user's own module lies.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        factory = attrgetter(attribute)(importlib.import_module(module_name))
    except (ImportError, AttributeError, ValueError) as error:
        raise LoadError("source", f"{name!r}: {error}") from error
    model = factory if isinstance(factory, nn.Module) else factory()
    if not isinstance(model, nn.Module):
        raise LoadError("source", f"{name!r} must return a torch.nn.Module, got {type(model).__name__}")
    return model
