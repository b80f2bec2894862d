"""The one door to a network: :func:`load`, which takes a file, a name, a factory or a module."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from fastcam.extractors import CAM_METHODS, CamMethod, Extractor, Localizer
from fastcam.extractors.gradient import GRADIENT_METHODS
from fastcam.inputs import Inputs
from fastcam.methods import MethodExtractor
from fastcam.models import NETWORKS, Classifier, read_classes
from fastcam.network import Network
from fastcam.origins import (
    Loaded,
    LoadError,
    from_factory,
    load_huggingface,
    load_module,
    load_registered,
    load_timm,
    load_torchvision,
    load_trained,
)

__all__ = ["LoadError", "load"]


def load(
    source: str | os.PathLike[str] | nn.Module,
    *,
    weights: str | os.PathLike[str] | None = None,
    pooling: str | None = None,
    features: str | None = None,
    classifier: str | None = None,
    cam: CamMethod = "auto",
    classes: str | os.PathLike[str] | Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    device: str | torch.device | None = None,
) -> Network:
    """Load a network to localize with, whatever it comes from.

    What is trusted: ``source`` is. ``"package.module:factory"`` imports the module, from the working folder too, and
    calls the factory. Files are not: of a checkpoint or a file of weights nothing is executed, and what stands in it
    may name only networks and methods that fastcam registers. Of a model of the hub no code is run.

    Args:
        source: one of

            - a checkpoint of ``fastcam train``: its network, method, inputs and class names are restored;
            - one of :data:`fastcam.models.NETWORKS`, by default with its ImageNet weights;
            - ``"timm:NAME"``, ``"torchvision:NAME"`` or ``"hf:NAME"``, a name on Hugging Face's hub or a folder: that
              library's network, with its own weights, preprocessing and class names;
            - ``"package.module:factory"``, called without arguments, or a module of that name;
            - an ``nn.Module``.
        weights: a file of weights for it; ``"imagenet"``, of fastcam's networks; or ``"random"``, of a network by name:
            to look at it without weights. A checkpoint of ``fastcam train`` says itself which network it is of; of any
            other file the classifier's weight says how many classes there are.
        pooling: of one of fastcam's networks, in place of what the checkpoint says, or ``"gap"``.
        features: the module that gives the features; see :class:`fastcam.Localizer`. By default fastcam's networks
            know, and of others it is found by a run on noise of the inputs' size.
        classifier: the last, linear layer; likewise.
        cam: which maps, see :class:`fastcam.Localizer`: ``"auto"``, ``"cam"`` or a gradient method. A gradient method
            takes the place of what a checkpoint was trained by.
        classes: names of the classes, or a file with one a line; by default those of the checkpoint or of ImageNet.
        size: (H, W) of the network's input, in place of its own; pictures are then resized to it as a whole.
        mean: of red, green and blue, white being 1, likewise.
        std: likewise.
        device: where it goes; by default a GPU where there is one.

    Returns:
        The :class:`fastcam.network.Network`, in eval mode on its device.

    Raises:
        LoadError: a source that is none of these, weights that do not fit or cannot be had, a name that the model does
            not have, another number of class names than classes, preprocessing that
            :class:`fastcam.inputs.Inputs` cannot say, inputs or a device that do not exist; a ValueError.
        ImportError: a package that the network needs is not installed.

    Example:
        >>> from fastcam.models import VGG16
        >>> network = load(VGG16(num_classes=3, width=1 / 16), classes=["cat", "dog", "rocket"])
        >>> network.classes, network.inputs.size
        (('cat', 'dog', 'rocket'), (224, 224))
    """
    if cam not in CAM_METHODS:
        raise LoadError("cam", f"cam must be one of {', '.join(map(repr, CAM_METHODS))}, got {cam!r}")
    loaded = _found(source, weights, pooling, size)
    inputs = _inputs(loaded, size, mean, std)
    where = _device(device)
    model = loaded.model.to(where).eval()
    extractor = loaded.extractor
    if extractor is None or features is not None or classifier is not None or cam in GRADIENT_METHODS:
        if isinstance(model, Classifier) and cam not in GRADIENT_METHODS:
            features, classifier = features or "pool:input", classifier or "classifier"
        extractor = _localizer(model, features, classifier, cam, inputs, where)
    if isinstance(extractor, MethodExtractor):
        extractor.method.to(where).eval()
    names = _names(classes, loaded.classes, extractor.num_classes)
    name = type(source).__name__ if isinstance(source, nn.Module) else os.fspath(source)
    return Network(name, model, extractor, inputs, names, where)


def _found(
    source: str | os.PathLike[str] | nn.Module,
    weights: Any,  # noqa: ANN401
    pooling: str | None,
    size: tuple[int, int] | None,
) -> Loaded:
    if isinstance(source, nn.Module):
        return load_module(source, weights)
    name = os.fspath(source)
    if name in NETWORKS:
        return load_registered(name, weights, pooling)
    if os.path.isfile(name):
        if weights is not None:
            raise LoadError("weights", f"{name} has weights of its own, got weights={os.fspath(weights)!r} beside it")
        return load_trained(name, pooling)
    library, _, rest = name.partition(":")
    if rest and library in ("timm", "torchvision", "hf"):
        if library == "timm":
            return load_timm(rest, weights, size)
        return load_torchvision(rest, weights) if library == "torchvision" else load_huggingface(rest, weights)
    if ":" in name:
        return load_module(from_factory(name), weights)
    close = difflib.get_close_matches(name, NETWORKS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"built in: {', '.join(NETWORKS)}"
    if os.path.isdir(name):
        hint = f"a folder that save_pretrained of transformers wrote is 'hf:{name}'"
    raise LoadError(
        "source",
        f"{name!r} is neither a built-in model nor package.module:factory, timm:NAME, torchvision:NAME, hf:NAME or a "
        f"checkpoint's file; {hint}",
    )


def _localizer(
    model: nn.Module,
    features: str | None,
    classifier: str | None,
    cam: CamMethod,
    inputs: Inputs,
    device: torch.device,
) -> Extractor:
    """A localizer by names, or one that has found where the maps come from."""
    try:
        localizer = Localizer(model, features, classifier, cam=cam)
    except (TypeError, ValueError) as error:
        raise LoadError("features", error) from error
    try:
        if localizer.needs_search:
            localizer.inspect(torch.randn(2, 3, *inputs.size, device=device))
    # What a network raises of images that it cannot take is its own choice.
    except Exception as error:
        raise LoadError("features", f"no maps of images of {inputs.size}: {error}") from error
    return localizer


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


def _inputs(loaded: Loaded, size: Any, mean: Any, std: Any) -> Inputs:  # noqa: ANN401
    wanted = {"resize": size, "mean": mean, "std": std}
    changes = {name: value for name, value in wanted.items() if value is not None}
    own = loaded.inputs
    if own is None:
        if len(changes) < len(wanted):
            raise LoadError("source", f"{loaded.unknown_inputs}; give size, mean and std")
        own = Inputs()
    if size is not None:
        changes.update(crop=None, fit="stretch")
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
