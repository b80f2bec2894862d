"""Maps from gradients, for networks without a linear map or by choice: a method is a formula.

Here F is (N, C, h, w), and g is the derivative of a class's logit by F. Sums over p run over the positions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from fastcam.activation import cam
from fastcam.extractors.extraction import Extraction
from fastcam.extractors.hooks import first_tensor
from fastcam.extractors.layout import Layout

__all__ = ["GRADIENT_METHODS", "GradientExtraction", "GradientMethod", "class_gradients", "watched"]

GradientMethod = Literal["grad-cam", "grad-cam++", "xgrad-cam", "layer-cam", "hires-cam"]


def _grad_cam(_: Tensor, g: Tensor) -> Tensor:
    r"""Grad-CAM, Selvaraju et al., ICCV 2017 (arXiv:1610.02391), Eq. 1, without its factor 1/hw: ``sum_p g``."""
    return g.sum((2, 3))


def _grad_cam_plus_plus(features: Tensor, g: Tensor) -> Tensor:
    r"""Grad-CAM++, Chattopadhay et al., WACV 2018 (arXiv:1710.11063), Eq. 19 and its weights for ``Y = exp(logit)``.

    ``sum_p a max(g, 0)`` with ``a = g^2 / (2 g^2 + g^3 sum_p F)``, 0 where the denominator is; the factor exp(logit)
    of an image is left out.
    """
    denominator = 2 * g.square() + g.pow(3) * features.sum((2, 3), keepdim=True)
    alpha = torch.where(denominator == 0, 0, g.square() / denominator)
    return (alpha * g.relu()).sum((2, 3))


def _xgrad_cam(features: Tensor, g: Tensor) -> Tensor:
    r"""XGrad-CAM, Fu et al., BMVC 2020 (arXiv:2008.02312), Eq. 8: ``sum_p F g / sum_p F``, 0 where that sum is."""
    total = features.sum((2, 3))
    return torch.where(total == 0, 0, (features * g).sum((2, 3)) / total)


def _layer_cam(features: Tensor, g: Tensor) -> Tensor:
    r"""LayerCAM, Jiang et al., TIP 2021, Eq. 5 and 6: ``sum_c max(g, 0) F``."""
    return (g.relu() * features).sum(1)


def _hires_cam(features: Tensor, g: Tensor) -> Tensor:
    r"""HiResCAM, Draelos and Carin, 2020 (arXiv:2011.08891), Eq. 3: ``sum_c g F``."""
    return (g * features).sum(1)


# Those that weight channels give a row an image, (N, C); the others finished maps, (N, h, w).
_ROWS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "grad-cam": _grad_cam,
    "grad-cam++": _grad_cam_plus_plus,
    "xgrad-cam": _xgrad_cam,
}
_MAPS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"layer-cam": _layer_cam, "hires-cam": _hires_cam}
GRADIENT_METHODS = (*_ROWS, *_MAPS)


@dataclass(frozen=True)
class GradientExtraction(Extraction):
    """One whose maps come from gradients; negative values are cut off, as the papers do.

    Attributes:
        features: (N, C, h, w).
        gradients: (N, T, C, h, w), of the logits of T classes by the features.
        method: which of :data:`GRADIENT_METHODS`.

    Example:
        >>> features, gradients = torch.rand(2, 8, 7, 7), torch.rand(2, 1, 8, 7, 7)
        >>> extraction = GradientExtraction(torch.rand(2, 5), torch.tensor([3, 4]), (56, 56), features, gradients)
        >>> extraction.maps().shape
        torch.Size([2, 7, 7])
    """

    features: Tensor
    gradients: Tensor
    method: GradientMethod = "grad-cam"

    def maps(self, *, clamp_negative: bool = True) -> Tensor:
        """Return the maps; ``clamp_negative`` uses max(w, 0) for the weights of methods that have weights."""
        given = [self._map(self.gradients[:, t], clamp_negative) for t in range(self.gradients.shape[1])]
        return torch.stack(given, 1).reshape(*self.labels.shape, *given[0].shape[1:])

    def _map(self, gradient: Tensor, clamp_negative: bool) -> Tensor:
        wide = torch.float64 if self.features.dtype == torch.float64 else torch.float32
        features, gradient = self.features.to(wide), gradient.to(wide)
        if self.method in _MAPS:
            return _MAPS[self.method](features, gradient).relu()
        rows = _ROWS[self.method](features, gradient)
        return cam(features, rows, clamp_negative=clamp_negative).relu()


@contextmanager
def watched(module: nn.Module, reads_input: bool) -> Iterator[list[Tensor]]:
    """Record for autograd what follows a module's output (or input); yield a list that holds it.

    Nothing before it is recorded, and nothing in other threads. The caller runs the network under
    ``torch.no_grad()``, whose end also ends the recording.
    """
    held: list[Tensor] = []
    thread = threading.get_ident()

    def begin(value: object) -> object:
        tensor = first_tensor(value)
        if tensor is None or threading.get_ident() != thread:
            return value
        torch.set_grad_enabled(True)
        # A copy, because an operator that follows may write into the features: the list then holds what it wrote.
        copy = tensor.detach().requires_grad_().clone()
        held[:] = [copy]
        return _replaced(value, tensor, copy)

    if reads_input:
        handle = module.register_forward_pre_hook(lambda _, args: begin(args))
    else:
        handle = module.register_forward_hook(lambda _, __, output: begin(output))
    try:
        yield held
    finally:
        handle.remove()


def _replaced(value: object, old: Tensor, new: Tensor) -> object:
    if value is old:
        return new
    if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        return type(value)(new if one is old else one for one in value)
    if isinstance(value, dict):
        for key in [key for key, one in value.items() if one is old]:
            value[key] = new
    return value


def class_gradients(
    logits: Tensor, labels: Tensor, features: Tensor, layout: Layout, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return the features (N, C, h, w) and the gradients (N, T, C, h, w) of the logits of T classes by them.

    One backward pass for all images at each of the T classes: in eval mode no image sees another.
    """
    table = labels if labels.dim() == 2 else labels[:, None]
    chosen = logits.gather(1, table)
    gradients = []
    for t in range(table.shape[1]):
        last = t + 1 == table.shape[1]
        (gradient,) = torch.autograd.grad(chosen[:, t].sum(), features, retain_graph=not last)
        gradients.append(layout.planes(gradient, size))
    return layout.planes(features.detach(), size), torch.stack(gradients, 1)
