"""The moving average of weights that a training may judge and keep: :func:`averaged`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

__all__ = ["averaged"]

_Tensors = tuple[Tensor, ...] | list[Tensor]


def averaged(trainee: nn.Module, decay: float, device: torch.device) -> AveragedModel:
    """Return a copy whose parameters follow: ``average = d * average + (1 - d) * parameter`` at every update.

    ``d = min(decay, (1 + n) / (10 + n))`` at the n-th update, as in TensorFlow's ExponentialMovingAverage, so that the
    average of a short training is not that of its first steps. Buffers, such as the statistics of batch
    normalization, are those of the last step.

    Args:
        trainee: what is trained; the copy's ``update_parameters`` takes it.
        decay: in (0, 1).
        device: of the copy.

    Example:
        >>> layer = nn.Linear(1, 1, bias=False)
        >>> average = averaged(layer, 0.999, torch.device("cpu"))
        >>> for value in (1.0, 2.0):
        ...     _ = nn.init.constant_(layer.weight, value)
        ...     average.update_parameters(layer)
        >>> round(average.module.weight.item(), 4)  # 2 / 11 of the first, 9 / 11 of the second
        1.8182
    """

    def follow(averages: _Tensors, parameters: _Tensors, updates: Tensor | int) -> None:
        done = int(updates)
        share = 1 - min(decay, (1 + done) / (10 + done))
        torch._foreach_lerp_(averages, parameters, share)

    return AveragedModel(trainee, device=device, multi_avg_fn=follow)
