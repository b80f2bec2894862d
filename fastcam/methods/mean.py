"""A classifier as the mean of several that are trained: :func:`as_mean`."""

from __future__ import annotations

from torch import Tensor

__all__ = ["as_mean"]


def as_mean(parameter: Tensor, count: int) -> Tensor:
    """Return the same values with 1/count of the gradient: what moves the mean of so many parameters.

    Where a network sees parameters by their mean alone, each of them gets 1/count of the gradient of the mean, and so
    does the mean by gradient descent, momentum and weight decay included: it need not be made of parts that are held.

    Example:
        >>> import torch
        >>> one = torch.tensor([3.0], requires_grad=True)
        >>> as_mean(one, 4).square().sum().backward()
        >>> one.grad  # 6 / 4
        tensor([1.5000])
    """
    fixed = parameter.detach()
    return fixed + (parameter - fixed) / count
