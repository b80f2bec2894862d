"""What a method of weakly supervised localization adds to the training of a classifier: :class:`Method`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from fastcam.localization import Localization
from fastcam.models.classifier import Classifier
from fastcam.protocol import PAPER, Protocol

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
    """

    name: ClassVar[str]

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

    def localize(
        self, model: Classifier, images: Tensor, labels: Tensor, *, protocol: Protocol = PAPER
    ) -> tuple[Tensor, Localization]:
        """Find the boxes of classes as the method defines it; by the class activation map where it says nothing.

        Args:
            model: the one attached to, in eval mode.
            images: (N, 3, H, W), normalized.
            labels: (N,) int64, the classes to find.
            protocol: how a map becomes a box.

        Returns:
            The logits (N, K), and the boxes at the images' size.
        """
        return model.localize(images, labels, protocol=protocol)

    @staticmethod
    def _fraction(name: str, value: float) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise ValueError(f"{name} must lie in [0, 1], got {value!r}")
        return float(value)
