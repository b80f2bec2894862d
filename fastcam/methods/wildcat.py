"""WILDCAT and WELDON: what is pooled is the classes' scores, the highest and the lowest, and not the features."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from fastcam.methods.fraction import checked_fraction
from fastcam.methods.mean import as_mean
from fastcam.methods.method import Method, Outcome
from fastcam.models.classifier import Classifier

__all__ = ["WELDON", "WILDCAT", "ScorePooling"]


class ScorePooling(nn.Module):
    r"""WILDCAT's spatial pooling (Durand et al., CVPR 2017, Eq. 2): high scores speak for a class, low ones against.

    .. math::
        s_c = \frac{1}{k^+} \sum_{\text{k+ highest}} z_{c,ij} + \alpha \frac{1}{k^-} \sum_{\text{k- lowest}} z_{c,ij}

    The released code halves the sum; this is the equation.

    Args:
        k_max: k+, a whole number of positions, at least 1 (more than there are: all), or their share, a fraction in
            (0, 1], rounded to at least one position.
        k_min: k-, likewise.
        alpha: weight of the lowest scores, in [0, 1].

    Raises:
        ValueError: a number out of range.

    Shape:
        (N, K, h, w) to (N, K).

    Example:
        >>> import torch
        >>> ScorePooling(2, 1, alpha=0.5)(torch.tensor([[[[4.0, 2.0], [0.0, -1.0]]]]))
        tensor([[2.5000]])
    """

    def __init__(self, k_max: float, k_min: float, alpha: float) -> None:
        super().__init__()
        self.k_max, self.k_min = _checked_amount("k_max", k_max), _checked_amount("k_min", k_min)
        self.alpha = checked_fraction("alpha", alpha)

    def forward(self, scores: Tensor) -> Tensor:
        """Pool (N, K, h, w) to (N, K)."""
        flat = scores.flatten(2)
        high, low = (_amount(k, flat.shape[2]) for k in (self.k_max, self.k_min))
        pooled = flat.topk(high, dim=2, sorted=False).values.mean(2)
        if not self.alpha:
            return pooled
        return pooled + self.alpha * flat.topk(low, dim=2, largest=False, sorted=False).values.mean(2)

    def extra_repr(self) -> str:
        """Return what is between the brackets of the module's repr."""
        return f"k_max={self.k_max}, k_min={self.k_min}, alpha={self.alpha}"


class WILDCAT(Method):
    """WILDCAT (Durand et al., CVPR 2017): several maps a class, their mean, and of that the extremes.

    A 1x1 convolution gives every class M maps (multi-map transfer), whose mean (class-wise pooling, Eq. 1) is pooled by
    :class:`ScorePooling` (Eq. 2). The mean of M linear maps is a linear map, exactly: the classifier that is kept is
    this mean, its class activation map is WILDCAT's map but for the bias, and the M maps need not be held one by one.
    All of them get the same gradient, 1/M of that of their mean, so that gradient descent moves the mean as it would
    move a single map with 1/M of the gradient: that is what ``maps`` does here (:func:`fastcam.methods.mean.as_mean`).

    The model's own pooling has no part in it; ``model(images)`` gives WILDCAT's scores.

    Args:
        maps: M. The default, and those below, are the released code's for VOC 2007.
        k_max: k+, of highest scores: a whole number of positions, or a share of them in (0, 1].
        k_min: k-, of lowest scores, likewise.
        alpha: weight of the lowest scores, in [0, 1].

    Raises:
        ValueError: a number out of range.
    """

    name = "wildcat"
    published: ClassVar = {}
    elsewhere: ClassVar = (True, "WILDCAT, ResNet101: pools the scores of any network's last maps")
    replaces_pooling = True

    def __init__(self, maps: int = 8, k_max: float = 0.2, k_min: float = 0.2, alpha: float = 0.7) -> None:
        super().__init__()
        self.maps = _checked_count("maps", maps)
        self.pool = ScorePooling(k_max, k_min, alpha)

    def attach(self, model: Classifier) -> None:
        """Put the pooling of scores in the place of the model's pooling of features."""
        model.score_pool = self.pool

    def forward(self, model: Classifier, images: Tensor, labels: Tensor) -> Outcome:
        """Return the cross-entropy of the pooled scores."""
        features = model.forward_features(images)
        weight, bias = (as_mean(one, self.maps) for one in (model.classifier.weight, model.classifier.bias))
        logits = self.pool(F.conv2d(features, weight[:, :, None, None], bias))
        return Outcome(F.cross_entropy(logits, labels), logits)

    def extra_repr(self) -> str:
        """Return what is between the brackets of the module's repr."""
        return f"maps={self.maps}"


class WELDON(WILDCAT):
    """WELDON (Durand et al., CVPR 2016): the k highest and the k lowest scores of one map a class, weighted alike.

    The model's own pooling has no part in it; ``model(images)`` gives WELDON's scores.

    Args:
        k: positions, a whole number as in the paper, or a share of them in (0, 1].

    Raises:
        ValueError: a number out of range.
    """

    name = "weldon"
    published: ClassVar = {"vgg16": "WELDON"}
    elsewhere: ClassVar = (True, "WELDON, VGG16: pools the scores of any network's last maps")

    def __init__(self, k: float = 3) -> None:
        super().__init__(maps=1, k_max=_checked_amount("k", k), k_min=k, alpha=1.0)


def _checked_count(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number, at least 1, got {value!r}")
    return value


def _checked_amount(name: str, value: float) -> float:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    if isinstance(value, float) and math.isfinite(value) and 0 < value <= 1:
        return value
    raise ValueError(f"{name} must be a whole number of at least 1, or a share in (0, 1], got {value!r}")


def _amount(k: float, positions: int) -> int:
    return min(k, positions) if isinstance(k, int) else max(1, round(k * positions))
