"""What a source gives: a model and what is known of it, :class:`Loaded`; or why there is none, :class:`LoadError`."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from fastcam.extractors import Extractor
from fastcam.inputs import RESIZE, Inputs

__all__ = ["LoadError", "Loaded"]


class LoadError(ValueError):
    """A network that cannot be loaded as asked for; the message says why.

    Attributes:
        argument: of :func:`fastcam.load`, the one that cannot be met.
    """

    def __init__(self, argument: str, reason: object) -> None:
        super().__init__(str(reason))
        self.argument = argument


@dataclass(frozen=True)
class Loaded:
    """A model with what is known of it.

    Attributes:
        model: in any mode, on the CPU.
        extractor: where the maps come from; None: it is to be found.
        inputs: what it sees of a picture; None: not known, for the reason in ``unknown_inputs``.
        classes: their names; none where they are not known.
        unknown_inputs: see ``inputs``.
    """

    model: nn.Module
    extractor: Extractor | None = None
    inputs: Inputs | None = RESIZE
    classes: tuple[str, ...] = ()
    unknown_inputs: str = ""
