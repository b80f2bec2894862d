"""A classifier of a method's own beside the model's: :func:`second_head`."""

from __future__ import annotations

from torch import nn

__all__ = ["second_head"]


def second_head(channels: int, hidden: int, classes: int) -> tuple[nn.Sequential, nn.Linear]:
    """Build two 3x3 convolutions, each with ReLU, and a linear layer, initialized as a classifier's own.

    Args:
        channels: of the feature maps that the convolutions take.
        hidden: of both convolutions.
        classes: that the linear layer tells apart.

    Example:
        >>> import torch
        >>> neck, classifier = second_head(8, 16, 5)
        >>> classifier(neck(torch.rand(2, 8, 7, 7)).mean((2, 3))).shape
        torch.Size([2, 5])
    """
    convolutions = [nn.Conv2d(count, hidden, 3, padding=1) for count in (channels, hidden)]
    classifier = nn.Linear(hidden, classes)
    for one in convolutions:
        nn.init.kaiming_normal_(one.weight, nonlinearity="relu")
        assert one.bias is not None
        nn.init.zeros_(one.bias)
    nn.init.normal_(classifier.weight, std=0.01)
    nn.init.zeros_(classifier.bias)
    first, second = convolutions
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU()), classifier
