"""The one door to a network: :func:`load`, which takes a file, a name, a factory or a module."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fastcam.checkpoint import TrainedFile, is_checkpoint, read_trained
from fastcam.extractors import Extractor, Localizer
from fastcam.inputs import RESIZE, Inputs
from fastcam.methods import MethodExtractor, Recipe
from fastcam.models import NETWORKS, Classifier, create, imagenet_classes, load_weights, read_classes, read_state_dict
from fastcam.models.state_dict import differences, load_all
from fastcam.network import Network
from fastcam.safe_load import check_values, holds_all_values, load_safely

__all__ = ["LoadError", "load"]

_IMAGENET = "imagenet"


class LoadError(ValueError):
    """A network that cannot be loaded as asked for; the message says why.

    Attributes:
        argument: of :func:`load`, the one that cannot be met.
    """

    def __init__(self, argument: str, reason: object) -> None:
        super().__init__(str(reason))
        self.argument = argument


@dataclass(frozen=True)
class _Loaded:
    """A model with what is known of it; None where nothing is."""

    model: nn.Module
    extractor: Extractor | None = None
    inputs: Inputs = RESIZE
    classes: tuple[str, ...] = ()


def load(
    source: str | os.PathLike[str] | nn.Module,
    *,
    weights: str | os.PathLike[str] | None = None,
    pooling: str | None = None,
    features: str | None = None,
    classifier: str | None = None,
    classes: str | os.PathLike[str] | Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    device: str | torch.device | None = None,
) -> Network:
    """Load a network to localize with, whatever it comes from.

    What is trusted: ``source`` is. ``"package.module:factory"`` imports the module, from the working folder too, and
    calls the factory. Files are not: of a checkpoint or a file of weights nothing is executed, and what stands in it
    may name only networks and methods that fastcam registers.

    Args:
        source: a checkpoint of ``fastcam train`` (its network, method, inputs and class names are restored); one of
            :data:`fastcam.models.NETWORKS`, by default with its ImageNet weights; ``"package.module:factory"``, called
            without arguments, or a module of that name; or an ``nn.Module``.
        weights: a file of weights for it, or ``"imagenet"``. A checkpoint of ``fastcam train`` says itself which
            network it is of; of any other file the classifier's weight says how many classes there are.
        pooling: of one of fastcam's networks, in place of what the checkpoint says, or ``"gap"``.
        features: the module that gives the features; see :class:`fastcam.Localizer`. By default fastcam's networks
            know, and of others it is found by a run on noise of the inputs' size.
        classifier: the last, linear layer; likewise.
        classes: names of the classes, or a file with one a line; by default those of the checkpoint or of ImageNet.
        size: (H, W) of the network's input, in place of its own.
        mean: of red, green and blue, white being 1, likewise.
        std: likewise.
        device: where it goes; by default a GPU where there is one.

    Returns:
        The :class:`fastcam.network.Network`, in eval mode on its device.

    Raises:
        LoadError: a source that is none of these, weights that do not fit, a name that the model does not have, another
            number of class names than classes, inputs or a device that do not exist; a ValueError.
        ImportError: a package that the network needs is not installed.

    Example:
        >>> from fastcam.models import VGG16
        >>> network = load(VGG16(num_classes=3, width=1 / 16), classes=["cat", "dog", "rocket"])
        >>> network.classes, network.inputs.size
        (('cat', 'dog', 'rocket'), (224, 224))
    """
    loaded = _found(source, weights, pooling)
    where = _device(device)
    model = loaded.model.to(where).eval()
    extractor, inputs = loaded.extractor, _inputs(loaded.inputs, size, mean, std)
    if extractor is None or features is not None or classifier is not None:
        if isinstance(model, Classifier):
            features, classifier = features or "pool:input", classifier or "classifier"
        extractor = _localizer(model, features, classifier, inputs, where)
    if isinstance(extractor, MethodExtractor):
        extractor.method.to(where).eval()
    names = _names(classes, loaded.classes, extractor.num_classes)
    name = type(source).__name__ if isinstance(source, nn.Module) else os.fspath(source)
    return Network(name, model, extractor, inputs, names, where)


def _localizer(
    model: nn.Module, features: str | None, classifier: str | None, inputs: Inputs, device: torch.device
) -> Localizer:
    """A localizer by names, or one that has found where the maps come from."""
    try:
        localizer = Localizer(model, features, classifier)
    except (TypeError, ValueError) as error:
        raise LoadError("features", error) from error
    try:
        if localizer.needs_search:
            localizer.inspect(torch.randn(2, 3, *inputs.size, device=device))
    # What a network raises of images that it cannot take is its own choice.
    except Exception as error:
        raise LoadError("features", f"no maps of images of {inputs.size}: {error}") from error
    return localizer


def _found(source: str | os.PathLike[str] | nn.Module, weights: Any, pooling: str | None) -> _Loaded:  # noqa: ANN401
    if isinstance(source, nn.Module):
        return _module(source, weights)
    name = os.fspath(source)
    if name in NETWORKS:
        return _registered(name, weights, pooling)
    if os.path.isfile(name):
        if weights is not None:
            raise LoadError("weights", f"{name} has weights of its own, got weights={os.fspath(weights)!r} beside it")
        if not is_checkpoint(name):
            _check_readable(name)
            raise LoadError(
                "source",
                f"{name}: not a checkpoint of fastcam train; name the network that it holds weights of, and give it as "
                "weights",
            )
        return _trained(name, pooling)
    if ":" in name:
        return _module(_from_factory(name), weights)
    close = difflib.get_close_matches(name, NETWORKS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"built in: {', '.join(NETWORKS)}"
    raise LoadError(
        "source", f"{name!r} is neither a built-in model nor package.module:factory nor a checkpoint's file; {hint}"
    )


def _check_readable(path: str) -> None:
    """Say why a file cannot be read at all, where that is why it is no checkpoint."""
    if Path(path).suffix == ".safetensors":
        return
    try:
        load_safely(path, "a checkpoint", mapped=True)
    except (OSError, ValueError) as error:
        raise LoadError("source", error) from error


def _trained(path: str | os.PathLike[str], pooling: str | None) -> _Loaded:
    """Restore the network of a checkpoint, with its method."""
    try:
        trained = read_trained(path)
        return _restored(trained, pooling)
    except (OSError, TypeError, ValueError) as error:
        raise LoadError("source", error) from error


def _restored(trained: TrainedFile, pooling: str | None) -> _Loaded:
    recipe = trained.recipe
    if pooling is not None and pooling != recipe.pooling:
        recipe = Recipe.of({**vars(recipe), "pooling": pooling, "tap_threshold": None})
    # On no device first, where a network of any size takes no memory: it has to be the one whose weights these are.
    with torch.device("meta"):
        _check_shapes(trained, *recipe.build(len(trained.classes)))
    model, method = recipe.build(len(trained.classes))
    for part, state in ((model, trained.state_dict), (method, trained.method_state)):
        part.load_state_dict(state)
    # As in training: convolutions on a CPU are faster so.
    for part in (model, method):
        part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return _Loaded(model, MethodExtractor(model, method), trained.inputs, trained.classes)


def _check_shapes(trained: TrainedFile, model: nn.Module, method: nn.Module) -> None:
    for part, state in ((model, trained.state_dict), (method, trained.method_state)):
        problems = differences(part.state_dict(), state)
        if problems:
            raise ValueError(f"{trained.path}: its weights are not those of its own settings: {problems}")
        check_values(trained.path, state, part.state_dict())


def _registered(name: str, weights: Any, pooling: str | None) -> _Loaded:  # noqa: ANN401
    """Build one of fastcam's networks, by default with the weights of ImageNet."""
    chosen = _IMAGENET if weights is None else weights
    try:
        if chosen != _IMAGENET and is_checkpoint(chosen):
            trained = read_trained(chosen)
            if trained.recipe.model != name:
                raise ValueError(f"{chosen} is of model {trained.recipe.model!r}, got {name!r}")
            return _restored(trained, pooling)
        count = {} if chosen == _IMAGENET else _count_of(chosen)
        model = create(name, pooling=pooling or "gap", weights=chosen, **count)  # type: ignore[arg-type]
    except (OSError, TypeError, ValueError) as error:
        raise LoadError("weights", error) from error
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return _Loaded(model, model, model.inputs, imagenet_classes())


def _count_of(path: str | os.PathLike[str]) -> dict[str, int]:
    """Read off a file's classifier how many classes it has, by fastcam's name for it and those of others."""
    state = read_state_dict(path)
    heads = (state.get(f"{name}.weight") for name in ("classifier", "fc", "_fc"))
    head = next((one for one in heads if one is not None and one.dim() >= 2), None)
    if head is not None and not holds_all_values(head):
        raise ValueError(f"{os.fspath(path)}: its classifier of shape {tuple(head.shape)} is larger than the file")
    return {} if head is None else {"num_classes": len(head)}


def _module(model: nn.Module, weights: Any) -> _Loaded:  # noqa: ANN401
    """Take a module as it is, or with the weights of a file, which must be all of its own."""
    if weights is not None:
        try:
            if isinstance(model, Classifier):
                load_weights(model, weights)
            else:
                load_all(model, weights)
        except (OSError, ValueError) as error:
            raise LoadError("weights", error) from error
    return _Loaded(model, model, model.inputs) if isinstance(model, Classifier) else _Loaded(model)


def _from_factory(name: str) -> nn.Module:
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


def _names(given: Any, known: tuple[str, ...], count: int) -> tuple[str, ...]:  # noqa: ANN401
    """The names asked for, or those known where they are as many as the classes, or numbers."""
    if given is None:
        return known if len(known) == count else tuple(f"class {number}" for number in range(count))
    if isinstance(given, (str, os.PathLike)):
        try:
            names = read_classes(given)
        except (OSError, ValueError) as error:
            raise LoadError("classes", error) from error
    else:
        names = tuple(given)
    if len(names) != count:
        raise LoadError("classes", f"{given} has {len(names)} names, the model {count} classes")
    return names


def _inputs(own: Inputs, size: Any, mean: Any, std: Any) -> Inputs:  # noqa: ANN401
    wanted = {"resize": size, "mean": mean, "std": std}
    changes = {name: value for name, value in wanted.items() if value is not None}
    if size is not None:
        changes["crop"] = None
    try:
        return own.replace(**changes)
    except ValueError as error:
        raise LoadError("size" if size is not None else "mean", error) from error


def _device(name: str | torch.device | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    # A device that torch was built without is an AssertionError or a RuntimeError, depending on which.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise LoadError("device", f"{str(name)!r}: {str(error).splitlines()[0]}") from error
    return device
