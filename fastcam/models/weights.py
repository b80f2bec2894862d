"""Weights for a network, from a file in its own, torchvision's or timm's names, or from ImageNet."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol
from urllib.parse import urlparse

import torch
from torch import Tensor, nn

from fastcam.models.names import WeightNames
from fastcam.models.state_dict import read_state_dict
from fastcam.safe_load import check_values

__all__ = ["WeightsMismatchError", "WeightsReport", "downloaded", "load_weights"]

_LISTED = 12  # names of a kind in an error's message; all of them are in its fields


@dataclass(frozen=True)
class WeightsReport:
    """What became of a file's weights.

    Attributes:
        path: the file.
        loaded: names of the network that got the file's values.
        fresh: names of the network that stay as initialized, because the file has no values for them.
        unused: names in the file that have no place in the network.
    """

    path: Path
    loaded: tuple[str, ...]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]


@dataclass(eq=False)
class WeightsMismatchError(ValueError):
    """A file that does not fit the network; nothing was loaded.

    Attributes:
        path: the file.
        network: the network's class.
        missing: names of the network without a value.
        unexpected: names in the file without a place.
        shapes: names whose shapes differ, with the network's and the file's.
        hint: what to do about it.
    """

    path: Path
    network: str
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    hint: str = ""

    def __str__(self) -> str:
        """Return the message: every kind of name that does not match, with the first of them."""
        shapes = [f"{name} ({theirs}, expected {ours})" for name, (ours, theirs) in self.shapes.items()]
        kinds = {"missing": self.missing, "unexpected": self.unexpected, "of another shape": shapes}
        listed = "; ".join(f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds.items() if names)
        return f"{self.path} does not fit {self.network}: {listed}{self.hint and f'. {self.hint}'}"


class Loadable(Protocol):
    """What a network has to say to be loaded into; :class:`fastcam.models.Classifier` does."""

    weight_names: ClassVar[WeightNames]
    weights_report: WeightsReport | None
    classifier: nn.Linear

    @classmethod
    def imagenet_file(cls) -> Path:
        """Return the file with the ImageNet weights, downloaded if need be."""

    def state_dict(self) -> dict[str, Any]:
        """Of ``nn.Module``."""

    def load_state_dict(self, state_dict: Mapping[str, Any], *, strict: bool) -> object:
        """Of ``nn.Module``."""


def load_weights(model: Loadable, weights: str | os.PathLike[str], *, new_classifier: bool = False) -> WeightsReport:
    """Load weights into a network, all or none.

    Names of torchvision's, timm's and fastcam's files are understood, also inside a checkpoint and of networks that
    were wrapped: see :func:`read_state_dict`. What the network leaves out of the original (VGG16's fully connected
    layers) may be in the file, what it adds (``conv6``) may be missing from a file that has none of it; the report
    lists both. Anything else that does not match is an error.

    Args:
        model: the network.
        weights: a file, or ``"imagenet"`` for the pretrained weights that the network's documentation names, from the
            cache of ``torch.hub`` or the web; with them, a classifier of other than 1000 classes starts afresh.
        new_classifier: leave the classifier as initialized, whatever the file has.

    Returns:
        The :class:`WeightsReport`, which the network keeps as ``weights_report``.

    Raises:
        OSError: the file cannot be read, or not downloaded.
        ImportError: a package that the file needs is not installed.
        WeightsMismatchError: names or shapes do not fit; a ValueError with all of them.
        ValueError: not a file of weights; a tensor with NaN or infinite values, or of integers in place of weights; or
            ``"imagenet"`` for a network that has none, or of another width.

    Example:
        >>> import pathlib, tempfile
        >>> from fastcam.models import VGG16
        >>> model = VGG16(num_classes=5, width=1 / 16)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "birds.pth")
        ...     torch.save(model.state_dict(), path)
        ...     load_weights(VGG16(num_classes=7, width=1 / 16), path, new_classifier=True).unused
        ('classifier.weight', 'classifier.bias')
    """
    own = model.state_dict()
    if weights == "imagenet":
        path = model.imagenet_file()
        new_classifier = new_classifier or model.classifier.out_features != 1000
    else:
        path = Path(weights)
    state = read_state_dict(path)
    places = {theirs: model.weight_names.renamed(theirs) for theirs in state}
    given = {ours: state[theirs] for theirs, ours in places.items()}
    if new_classifier:
        given = {name: value for name, value in given.items() if not name.startswith("classifier.")}
    fitting = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    fresh = tuple(name for name in own if name not in given)
    unused = tuple(theirs for theirs, ours in places.items() if ours not in fitting)
    problem = WeightsMismatchError(
        path,
        type(model).__name__,
        missing=tuple(name for name in fresh if not _may_be_missing(model.weight_names, name, given, new_classifier)),
        unexpected=tuple(
            theirs for theirs, ours in places.items() if ours not in own and not model.weight_names.has_place(ours)
        ),
        shapes={
            name: (tuple(own[name].shape), tuple(value.shape))
            for name, value in given.items()
            if name in own and own[name].shape != value.shape
        },
    )
    if problem.missing or problem.unexpected or problem.shapes:
        problem.hint = _hint(problem, weights == "imagenet")
        raise problem
    check_values(path, fitting, own)
    model.load_state_dict(fitting, strict=False)
    model.weights_report = WeightsReport(path, tuple(fitting), fresh, unused)
    return model.weights_report


def downloaded(url: str, name: str | None = None) -> Path:
    """Return a file of the web, kept where ``torch.hub`` keeps weights, so that each is downloaded once.

    Args:
        url: where it is. A name that ends in ``-0123abcd.pth`` holds the first digits of its SHA-256, which is checked.
        name: of the file; by default the last part of the address.

    Returns:
        Its path.

    Raises:
        OSError: it cannot be downloaded; the message says from where to where, for doing it by hand.
    """
    path = Path(torch.hub.get_dir(), "checkpoints", name or Path(urlparse(url).path).name)
    if path.exists():
        return path
    digits = re.search(r"-([0-9a-f]{8,})\.", path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), digits and digits[1], progress=sys.stderr.isatty())
    # RuntimeError: the file that came has another hash.
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"{url} could not be downloaded: {error}. Put the file at {path}, or hand its path to weights"
        ) from error
    return path


def _may_be_missing(names: WeightNames, name: str, given: Mapping[str, Tensor], new_classifier: bool) -> bool:
    if name.endswith("num_batches_tracked"):  # older than PyTorch 0.4.1, or converted
        return True
    if new_classifier and name.startswith("classifier."):
        return True
    return names.may_be_missing(name, given)


def _hint(problem: WeightsMismatchError, imagenet: bool) -> str:
    if imagenet:
        return "The ImageNet weights are those of the full network: width=1"
    if not problem.missing and not problem.unexpected and all(one.startswith("classifier.") for one in problem.shapes):
        ours, theirs = problem.shapes.get("classifier.weight", ((0,), (0,)))
        return (
            f"Its classifier has {theirs[0]} classes, the network {ours[0]}: build it with num_classes={theirs[0]}, "
            "or start a new classifier with new_classifier=True"
        )
    if any(name.startswith("layer0.") for name in problem.unexpected):
        return "Its names are those of a SE-ResNet50 with strides in other convolutions, which is another network"
    return ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
