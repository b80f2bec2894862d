"""What a training leaves: :class:`Trained`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastcam.inputs import Inputs
from fastcam.methods import Method
from fastcam.models import Classifier

__all__ = ["Trained"]


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        model: with the weights of the epoch that ``select`` chose, in eval mode, on the engine's device.
        method: likewise.
        epoch: that epoch, from 1.
        history: of each epoch, the columns of :data:`fastcam.training.journal.EPOCH_COLUMNS`.
        inputs: what the network sees of a picture.
        classes: names, by label.
        checkpoint: the file with these weights.
    """

    model: Classifier
    method: Method
    epoch: int
    history: list[dict[str, float | None]]
    inputs: Inputs
    classes: tuple[str, ...]
    checkpoint: Path
