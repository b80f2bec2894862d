"""What a method of weakly supervised localization adds to the training of a classifier: :class:`Method`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from fastcam.activation import Index
from fastcam.extractors import Extraction
from fastcam.models.classifier import Classifier

__all__ = ["Method", "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What one batch gave: the scalar loss, and the logits (N, K) of the classifier that is kept."""

    loss: Tensor
    logits: Tensor


class Method(nn.Module):
    """A plug-in for the training loop; this one changes nothing, and is what the others start from.

    The loop calls ``attach`` once, before the optimizer is made, and then ``method(model, images, labels)`` for every
    batch. What a method draws at random it draws from PyTorch's generator of the CPU, so that a seed settles it on
    any device.

    Attributes:
        name: in :data:`fastcam.methods.METHODS` and on the command line.
        published: the networks that the literature defines the method for, and where.
        elsewhere: whether it is defined for any other network, and why, or why not.
        replaces_pooling: whether it pools in its own way, so that the model's pooling, TAP or another, has no part in
            it: of the paper's three techniques, two are left, NWC and PaS.
    """

    name: ClassVar[str]
    published: ClassVar[Mapping[str, str]] = {}
    elsewhere: ClassVar[tuple[bool, str]] = (True, "acts on images and labels alone: any classifier")
    replaces_pooling: ClassVar[bool] = False

    def name_classes(self, classes: Sequence[str]) -> None:
        """Read what depends on the classes' names, by label; called before ``attach`` where a training begins.

        Raises:
            ValueError: what an option names lacks a class, or is malformed.
        """

    def expect(self, state: Mapping[str, Tensor]) -> None:
        """Take from the weights of a checkpoint how large the branches are; called before ``attach`` in its place.

        No file is read here: the checkpoint may have come from another machine.

        Raises:
            ValueError: a state that no training leaves.
        """

    def attach(self, model: Classifier) -> None:
        """Prepare a model: insert layers, or build branches from the sizes that it tells.

        Args:
            model: from :func:`fastcam.models.create`.

        Raises:
            ValueError: a model that the method is not defined for.
        """

    def forward(self, model: Classifier, images: Tensor, labels: Tensor) -> Outcome:
        """Return the loss of one batch.

        Args:
            model: the one attached to, in training mode.
            images: (N, 3, H, W), normalized: 0 is the mean colour.
            labels: (N,) int64.
        """
        logits: Tensor = model(images)
        return Outcome(F.cross_entropy(logits, labels), logits)

    def extract(
        self, model: Classifier, images: Tensor, index: Index | None = None, *, top_k: int | None = None
    ) -> Extraction:
        """Run the network once for the maps that the method defines; the class activation maps where it says nothing.

        Args:
            model: the one attached to, in eval mode.
            images: (N, 3, H, W), normalized.
            index: see :meth:`fastcam.extractors.Extractor.extract`.
            top_k: likewise.
        """
        return model.extract(images, index, top_k=top_k)

    @classmethod
    def defined_for(cls, network: str) -> tuple[bool, str]:
        """Whether the literature defines the method for one of fastcam's networks, and where, or why not."""
        return (True, cls.published[network]) if network in cls.published else cls.elsewhere
