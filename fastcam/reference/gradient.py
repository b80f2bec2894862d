"""Maps from gradients: each method as its paper writes it.

Here F is (N, C, ...) with one axis of positions or more, and g, of the same shape, is the derivative of a class's logit
by F. Sums over p run over the positions. All is computed in float32, or in float64 for float64 features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

__all__ = ["MAPS", "ROWS", "grad_cam", "grad_cam_plus_plus", "hires_cam", "layer_cam", "xgrad_cam"]


def grad_cam(features: Tensor, gradient: Tensor) -> Tensor:
    r"""Grad-CAM's weights (N, C): ``sum_p g``.

    Selvaraju et al., ICCV 2017 (arXiv:1610.02391), Eq. 1, without its factor of one over the number of positions: so
    they are the classifier's own weights where the features are averaged and classified.
    """
    return _sum(gradient, _wide(features))


def grad_cam_plus_plus(features: Tensor, gradient: Tensor) -> Tensor:
    r"""Grad-CAM++'s weights (N, C): ``sum_p a max(g, 0)`` with ``a = g^2 / (2 g^2 + g^3 sum_p F)``.

    Chattopadhay et al., WACV 2018 (arXiv:1710.11063), Eq. 5 and 19, with ``Y = exp(logit)``, whose derivatives of all
    orders are powers of g times Y; the factor Y is left out, which all weights of an image share. g^2 is cancelled, as
    it would underflow; where the denominator is 0, a is.
    """
    wide = _wide(features)
    g, total = gradient.to(wide), _sum(features, wide)
    denominator = 2 + g * total.reshape(*total.shape, *[1] * (g.ndim - 2))
    return torch.where(denominator == 0, 0, g.relu() / denominator).flatten(2).sum(2)


def xgrad_cam(features: Tensor, gradient: Tensor) -> Tensor:
    r"""XGrad-CAM's weights (N, C): ``sum_p F g / sum_p F``, 0 where that sum is.

    Fu et al., BMVC 2020 (arXiv:2008.02312), Eq. 8.
    """
    wide = _wide(features)
    total = _sum(features, wide)
    return torch.where(total == 0, 0, _sum(features.to(wide) * gradient.to(wide), wide) / total)


def layer_cam(features: Tensor, gradient: Tensor) -> Tensor:
    r"""LayerCAM's maps (N, ...): ``sum_c max(g, 0) F``. Jiang et al., IEEE TIP 30, 2021, Eq. 5 and 6."""
    wide = _wide(features)
    return (gradient.to(wide).relu() * features.to(wide)).sum(1)


def hires_cam(features: Tensor, gradient: Tensor) -> Tensor:
    r"""HiResCAM's maps (N, ...): ``sum_c g F``. Draelos and Carin, 2020 (arXiv:2011.08891), Eq. 3."""
    wide = _wide(features)
    return (gradient.to(wide) * features.to(wide)).sum(1)


def _wide(features: Tensor) -> torch.dtype:
    return torch.float64 if features.dtype == torch.float64 else torch.float32


def _sum(tensor: Tensor, wide: torch.dtype) -> Tensor:
    return tensor.flatten(2).sum(2, dtype=wide)


Formula = Callable[[Tensor, Tensor], Tensor]

# Those that weigh channels, whose map is the weighted sum of the features.
ROWS: Final[dict[str, Formula]] = {
    "grad-cam": grad_cam,
    "grad-cam++": grad_cam_plus_plus,
    "xgrad-cam": xgrad_cam,
}
# Those that weigh every value, whose map is finished.
MAPS: Final[dict[str, Formula]] = {"layer-cam": layer_cam, "hires-cam": hires_cam}
