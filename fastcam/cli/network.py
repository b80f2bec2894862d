"""The network that the command's options ask for."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import warnings
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path

import click
import torch
from torch import nn

from fastcam.localizer import Localizer
from fastcam.models import (
    BUILTIN,
    Classifier,
    ModelCard,
    Preprocessing,
    load_weights,
    read_classes,
    read_state_dict,
)

__all__ = ["Network", "NetworkOptions", "load_network", "named_device"]


@dataclass(frozen=True)
class NetworkOptions:
    """What the user asked for; None where they left it to the model."""

    model: str
    weights: Path | None = None
    features: str | None = None
    classifier: str | None = None
    classes: Path | None = None
    input_size: tuple[int, int] | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    device: str | None = None


@dataclass(frozen=True)
class Network:
    """A network ready to localize: in eval mode, on its device, tried out once."""

    localizer: Localizer
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    device: torch.device


def load_network(options: NetworkOptions) -> Network:
    """Build the network, load its weights, and run it once on noise.

    The trial finds wrong names and sizes before the first picture is read, and takes the start-up cost of the
    first run out of the times reported.

    Raises:
        click.ClickException: an option that cannot be met; the message names it.
    """
    device = named_device(options.device)
    card = _card(options.model)
    preprocessing = _preprocessing(card.preprocessing, options)
    try:
        model = card.build(options.weights is None, preprocessing.size)
    except ImportError as error:
        raise click.ClickException(str(error)) from error
    if options.weights is not None:
        _load_weights(model, options.weights)
    model = model.to(device).eval()
    features, classifier = options.features or card.features, options.classifier or card.classifier
    try:
        localizer = Localizer(model, features, classifier)
    except (TypeError, ValueError) as error:
        raise click.UsageError(f"{error} (see --features and --classifier)") from error
    _try_out(Localizer(model, features, classifier), preprocessing.size, device)
    return Network(localizer, preprocessing, _classes(card, options.classes, localizer.num_classes), device)


def _card(name: str) -> ModelCard:
    if name in BUILTIN:
        return BUILTIN[name]
    if ":" not in name:
        close = difflib.get_close_matches(name, BUILTIN, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"built in: {', '.join(BUILTIN)}"
        raise click.BadParameter(
            f"{name!r} is neither a built-in model nor package.module:factory; {hint}", param_hint="--model"
        )
    return ModelCard(
        name=name,
        build=lambda _pretrained, _size: _from_factory(name),
        preprocessing=Preprocessing(),
        features="layer4",
        classifier="fc",
        classes=tuple,
    )


def _from_factory(name: str) -> nn.Module:
    module_name, _, attribute = name.partition(":")
    # An installed command does not have the working directory on its path, where the user's own module lies.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        factory = attrgetter(attribute)(importlib.import_module(module_name))
    except (ImportError, AttributeError, ValueError) as error:
        raise click.BadParameter(f"{name!r}: {error}", param_hint="--model") from error
    model = factory if isinstance(factory, nn.Module) else factory()
    if not isinstance(model, nn.Module):
        raise click.BadParameter(
            f"{name!r} must return a torch.nn.Module, got {type(model).__name__}", param_hint="--model"
        )
    return model


def _preprocessing(given: Preprocessing, options: NetworkOptions) -> Preprocessing:
    wanted = {"size": options.input_size, "mean": options.mean, "std": options.std}
    try:
        return replace(given, **{name: value for name, value in wanted.items() if value is not None})  # type: ignore[arg-type]
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def named_device(name: str | None) -> torch.device:
    """Return the device of ``--device``; a GPU where there is one, if none was named."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    # A device that torch was built without is an AssertionError or a RuntimeError, depending on which.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise click.BadParameter(f"{name!r}: {str(error).splitlines()[0]}", param_hint="--device") from error
    return device


def _load_weights(model: nn.Module, path: Path) -> None:
    def refused(reason: str) -> click.BadParameter:
        return click.BadParameter(reason, param_hint="--weights")

    try:
        if isinstance(model, Classifier):
            load_weights(model, path)
            return
        state = read_state_dict(path)
    except (OSError, ImportError, ValueError) as error:
        raise refused(str(error)) from error
    expected = model.state_dict()
    problems = {
        "missing": expected.keys() - state.keys(),
        "unexpected": state.keys() - expected.keys(),
        "of another shape": {
            name for name in expected.keys() & state.keys() if expected[name].shape != state[name].shape
        },
    }
    listed = [f"{_some(sorted(names))} {kind}" for kind, names in problems.items() if names]
    if listed:
        raise refused(f"{path}: does not fit the model: {'; '.join(listed)}")
    model.load_state_dict(state)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _classes(card: ModelCard, path: Path | None, count: int) -> tuple[str, ...]:
    if path is None:
        names = card.classes()
        return names if len(names) == count else tuple(f"class {number}" for number in range(count))
    try:
        names = read_classes(path)
    except (OSError, ValueError) as error:
        raise click.BadParameter(str(error), param_hint="--classes") from error
    if len(names) != count:
        raise click.BadParameter(f"{path} has {len(names)} names, the model {count} classes", param_hint="--classes")
    return names


def _try_out(localizer: Localizer, size: tuple[int, int], device: torch.device) -> None:
    noise = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0)).to(device)
    try:
        # Whether the map is the classifier's is said once, of the first real batch.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            localizer(noise)
    except Exception as error:
        raise click.ClickException(
            f"the model does not run on an input of {(1, 3, *size)}: {type(error).__name__}: {error}"
        ) from error
