"""What it takes to localize with a model: :class:`ModelCard`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from fastcam.models.preprocessing import Preprocessing

__all__ = ["ModelCard"]


@dataclass(frozen=True)
class ModelCard:
    """A classifier together with everything its use needs.

    Attributes:
        name: what it is called in :data:`fastcam.models.BUILTIN` and on the command line.
        build: makes the network, in eval mode; ``pretrained`` with its weights, for inputs of ``size`` (H, W).
        preprocessing: what its inputs must go through.
        features: the ``features`` of :class:`fastcam.Localizer`.
        classifier: the ``classifier`` of :class:`fastcam.Localizer`.
        classes: the names of its classes, in order.
    """

    name: str
    build: Callable[[bool, tuple[int, int]], nn.Module]
    preprocessing: Preprocessing
    features: str
    classifier: str
    classes: Callable[[], tuple[str, ...]]
