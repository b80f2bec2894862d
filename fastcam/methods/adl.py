"""ADL: a layer without weights that now hides, now stresses what a feature map attends to."""

from __future__ import annotations

import functools
from typing import ClassVar

import torch
from torch import Tensor, nn

from fastcam.methods.fraction import checked_fraction
from fastcam.methods.method import Method
from fastcam.models.classifier import Classifier

__all__ = ["ADL", "AttentionDropout"]


class AttentionDropout(nn.Module):
    """The attention-based dropout layer (Choe and Shim, CVPR 2019).

    The attention of a position is the mean of its channels. In training the whole batch is multiplied, by one draw a
    call, either with the drop mask (0 where an image's attention reaches ``threshold`` times its maximum, else 1),
    with probability ``drop_rate``, or with the importance map, the attention's sigmoid. In eval mode nothing happens.

    Args:
        drop_rate: probability of the drop mask; 1 minus the paper's keep_prob.
        threshold: gamma, in [0, 1].

    Shape:
        (N, C, H, W) to the same.

    Example:
        >>> x = torch.tensor([[[[1.0, 4.0], [2.0, 0.0]]]])
        >>> AttentionDropout(drop_rate=1, threshold=0.5)(x)
        tensor([[[[1., 0.],
                  [0., 0.]]]])
    """

    def __init__(self, drop_rate: float = 0.75, threshold: float = 0.9) -> None:
        super().__init__()
        self.drop_rate = checked_fraction("drop_rate", drop_rate)
        self.threshold = checked_fraction("threshold", threshold)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply (N, C, H, W) with the map drawn."""
        if not self.training:
            return x
        attention = x.mean(dim=1, keepdim=True)
        # rand() lies in [0, 1): a rate of 0 never drops, one of 1 always does.
        if torch.rand(()).item() >= self.drop_rate:
            return x * attention.sigmoid()
        limit = self.threshold * attention.amax(dim=(2, 3), keepdim=True)
        return x * (attention < limit)

    def extra_repr(self) -> str:
        """Return what is between the brackets of the module's repr."""
        return f"drop_rate={self.drop_rate}, threshold={self.threshold}"


class ADL(Method):
    """Training with :class:`AttentionDropout` after the modules that the model names in ``adl_positions``.

    The layers act through hooks: the model's state dict, and what it computes in eval mode, stay the same.

    Args:
        drop_rate: probability of the drop mask.
        threshold: gamma, in [0, 1].
    """

    name = "adl"
    published: ClassVar = {
        "vgg16": "ADL; wsolevaluation",
        "resnet50": "wsolevaluation",
        "resnet50-se": "ADL",
        "googlenet": "ADL; wsolevaluation, InceptionV3",
    }
    elsewhere: ClassVar = (True, "no publication gives positions; those of ResNet50's counterparts (adl_positions)")

    def __init__(self, drop_rate: float = 0.75, threshold: float = 0.9) -> None:
        super().__init__()
        self.drop_rate = checked_fraction("drop_rate", drop_rate)
        self.threshold = checked_fraction("threshold", threshold)
        self.layers = nn.ModuleList()

    def attach(self, model: Classifier) -> None:
        """Hook a layer to each position.

        Raises:
            ValueError: a model without positions.
        """
        positions = tuple(getattr(model, "adl_positions", ()))
        if not positions:
            raise ValueError(f"adl needs a model with adl_positions, {type(model).__name__} names none")
        for position in positions:
            layer = AttentionDropout(self.drop_rate, self.threshold)
            self.layers.append(layer)
            model.get_submodule(position).register_forward_hook(functools.partial(_applied, layer))


def _applied(layer: AttentionDropout, module: nn.Module, _: object, output: Tensor) -> Tensor:
    # The module's own mode decides: a model in eval mode is not changed, whatever mode the method is in.
    layer.train(module.training)
    dropped: Tensor = layer(output)
    return dropped
