"""Parameters and running statistics drawn anew, so that no check of a network passes by its initial zeros and ones."""

from __future__ import annotations

import contextlib
import math

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["redraw"]

_GAINS = ("gamma", "alpha", "scale", "weight", "ls", "layer_scale", "lambda")


@torch.no_grad()
def redraw(model: nn.Module, images: Tensor, seed: int = 0) -> None:
    """Draw what was constant: gains from U(0.5, 1.5), offsets from N(0, 0.1), tokens and zero matrices at their scale.

    Running statistics are those of the images, and then perturbed. The model is in eval mode afterwards.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() and parameter.numel() > 0:
            _redraw(name.rpartition(".")[2], parameter, generator)
    _redraw_statistics(model, images, generator)
    model.eval()


def _redraw(name: str, parameter: Tensor, generator: torch.Generator) -> None:
    def gains() -> None:
        parameter.copy_(torch.rand(parameter.shape, generator=generator) + 0.5)

    def offsets(spread: float) -> None:
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)

    constant = float(parameter.std(correction=0)) < 2e-3
    is_vector = parameter.numel() == max(parameter.shape, default=1)
    if parameter.dim() <= 1:
        offsets(0.1) if "bias" in name or name.startswith("beta") else gains()
    elif is_vector and name.startswith(_GAINS):
        gains()
    elif is_vector and name.startswith(("beta", "bias")):
        offsets(0.1)
    elif is_vector and constant:
        offsets(0.02)
    elif constant:
        offsets(1 / math.sqrt(parameter[0].numel()))


def _redraw_statistics(model: nn.Module, images: Tensor, generator: torch.Generator) -> None:
    norms = [part for part in model.modules() if isinstance(part, _BatchNorm) and part.running_mean is not None]
    model.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    if norms:
        # Over one value a channel there are no statistics; those initial ones stay.
        with contextlib.suppress(ValueError):
            model(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_var.clamp_(min=1e-6)
        noise = torch.randn(norm.running_mean.shape, generator=generator)
        norm.running_mean.add_(0.1 * noise * norm.running_var.sqrt())
        norm.running_var.mul_(torch.rand(norm.running_var.shape, generator=generator) + 0.5)
