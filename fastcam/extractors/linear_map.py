"""Logits as a linear function of pooled features, read from one forward pass and checked: :func:`linear_map`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fastcam.extractors.check import rounding_unit
from fastcam.extractors.linear_rules import replace
from fastcam.extractors.linear_walk import ClassTokenError, NoLinearMapError, Pooled, Term, Walk
from fastcam.extractors.trace import Trace
from fastcam.pooling import tap

__all__ = ["LinearMap", "linear_map"]

_LONGEST = 400  # operators between the features and the logits
# How many units of rounding the two ways to the logits may differ by. A network's own operators round in another order
# than the folded weight; what is not linear lies hundreds above.
_ROUNDINGS = 12.0


@dataclass(frozen=True, eq=False)
class LinearMap:
    """``logits = pool(features) @ weight.T / divisor + constant``, which was checked.

    Attributes:
        features: (N, C, L), what is pooled over its L positions.
        weight: (K, C) float64.
        pooling: ``"mean"``, ``"sum"``, ``"max"`` or ``"TAP(threshold)"``.
        folded: what the weight holds beside the classifier's linear layer: ``"batch norm"``, ``"layer norm"``, ...
        difference: the largest difference of both sides, as a share of the largest logit.
    """

    features: Tensor
    weight: Tensor
    pooling: str
    folded: tuple[str, ...]
    difference: float


@torch.no_grad()
def linear_map(trace: Trace, logits: Tensor) -> LinearMap:
    """Walk from the logits back through what is linear for a given image, to features and their pooling over positions.

    Layer and RMS normalization of the pooled vector count as linear: they subtract a projection and divide by one
    positive number an image, which changes no box.

    Args:
        trace: the recorded forward pass, in eval mode.
        logits: (N, K), its result.

    Raises:
        NoLinearMapError: there is no such function, or the sum that the operators promise is not the logits; says why.

    Example:
        >>> head = torch.nn.Linear(8, 3)
        >>> images = torch.rand(2, 8, 5, 5)
        >>> with torch.no_grad(), Trace(images) as trace:
        ...     logits = head(torch.nn.functional.layer_norm((images * 2).mean((2, 3)), (8,)))
        >>> found = linear_map(trace, logits)
        >>> found.features.shape, found.pooling, found.folded
        (torch.Size([2, 8, 25]), 'mean', ('layer norm',))
    """
    if not bool(logits.isfinite().all()):
        raise NoLinearMapError("the logits are not finite")
    walk = Walk(trace, logits)
    try:
        return _followed(walk)
    except NoLinearMapError as error:
        # A mean over the class token alone is no pooling of small maps.
        if not walk.pools_one_position or isinstance(error, ClassTokenError):
            raise
        raise NoLinearMapError(
            f"the maps that are pooled have one position, on which nothing can be localized (take larger images), and "
            f"before them {error}"
        ) from None


def _followed(walk: Walk) -> LinearMap:
    terms: list[Term] = [Term(walk.logits, walk.trace.origin(walk.logits))]
    for _ in range(_LONGEST):
        if not terms:
            return _joined(walk)
        terms += replace(walk, terms.pop())
    raise NoLinearMapError(f"more than {_LONGEST} operators follow the features")


def _joined(walk: Walk) -> LinearMap:
    """Add the weights of all terms, which must be poolings of the same features."""
    if not walk.found:
        raise NoLinearMapError("the logits do not depend on the images")
    first = walk.found[0]
    features, divisor = _planes(first), first.term.divisor
    weight = torch.zeros(walk.logits.shape[1], features.shape[1], dtype=torch.float64, device=features.device)
    for other in walk.found:
        if other is not first and not _equal(_planes(other), features):
            raise NoLinearMapError("several feature maps are pooled")
        if (other.pooling, other.threshold) != (first.pooling, first.threshold):
            raise NoLinearMapError("the same features are pooled in several ways")
        if not _equal(other.term.divisor, divisor):
            raise NoLinearMapError("parts of the logits are normalized differently")
        weight += _identity(features) if other.term.weight is None else other.term.weight
    folded = tuple(dict.fromkeys(name for one in walk.found for name in one.term.folded))
    difference = _checked(walk, features, weight, divisor, first)
    name = f"TAP({first.threshold:g})" if first.pooling == "TAP" else first.pooling
    return LinearMap(features, weight, name, folded, difference)


def _planes(pooled: Pooled) -> Tensor:
    return pooled.features.movedim(pooled.channels, 1).flatten(2)


def _identity(features: Tensor) -> Tensor:
    return torch.eye(features.shape[1], dtype=torch.float64, device=features.device)


def _equal(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and torch.equal(one, other)


def _checked(walk: Walk, features: Tensor, weight: Tensor, divisor: Tensor | None, pooled: Pooled) -> float:
    """Compare what the walk promises with the logits; the difference as a share of the largest logit."""
    values = _pool(features, pooled)
    promised, spread = values @ weight.T, (values.square() @ weight.square().T).sqrt()
    if divisor is not None:
        promised, spread = promised / divisor[:, None], spread / divisor[:, None]
    promised, logits = promised + walk.constant, walk.logits.double()
    difference = (promised - logits).abs()
    largest = float(logits.abs().max())
    if not bool((difference <= _ROUNDINGS * rounding_unit(features, walk.logits) * (spread + largest)).all()):
        raise NoLinearMapError(
            f"pooled features times weight differ from the logits by up to {float(difference.max()):.3g}"
        )
    return float(difference.max()) / max(largest, 1e-30)


def _pool(features: Tensor, pooled: Pooled) -> Tensor:
    if pooled.pooling == "TAP":
        return tap(features[..., None].float(), pooled.threshold).double()
    wide = features.double()
    if pooled.pooling == "max":
        return wide.amax(2)
    return wide.sum(2) if pooled.pooling == "sum" else wide.mean(2)
