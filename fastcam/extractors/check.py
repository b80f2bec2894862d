"""Whether pooled features times the weight of a classifier's linear head explain its logits."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from fastcam.pooling import LSE, TAP, lse, tap

__all__ = ["HeadMismatchWarning", "levels_to_caller", "mismatch", "rounding_unit"]

# How many units of rounding the two ways to the logits may differ by: four standard deviations of the rounded sum
# stay below two, and a wrong pooling or a missing activation lies hundreds above.
_ROUNDINGS = 6.0
_QUANTIZED = 2.0**-7  # the rounding of 8 bits with a sign


class HeadMismatchWarning(UserWarning):
    """The named features and classifier do not explain the model's logits, or could not be checked."""


def mismatch(
    model: nn.Module,
    features: Tensor,
    received: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    logits: Tensor,
    *,
    quantized: bool = False,
) -> str | None:
    """Compare ``pool(features) @ weight.T + bias`` with the logits, for every pooling whose map is the classifier's.

    The poolings are the mean over space, every :class:`fastcam.TAP` and :class:`fastcam.pooling.LSE` in the model, and
    the maximum over space.

    Args:
        model: the classifier, searched for its poolings.
        features: (N, C, h, w), (N, C, l) or (N, C, d, h, w).
        received: what the classifier's layer was called with, (N, C) or (N, C, 1, 1); None where it was not called.
        weight: (K, C).
        bias: (K,) or None.
        logits: (N, K), finite.
        quantized: the layer rounds to 8 bits what it computes with.

    Returns:
        None where one of the poolings explains the logits to within rounding, else a sentence or two saying what was
        compared, by how much it differed and where the difference arises.

    Example:
        >>> import torch
        >>> head, x = torch.nn.Linear(8, 3), torch.rand(2, 8, 5, 5)
        >>> mismatch(head, x, None, head.weight, head.bias, head(x.mean((2, 3)))) is None
        True
        >>> mismatch(head, x, None, head.weight, head.bias, head(x.mean((2, 3)).sqrt())) is None
        False
    """
    unit = rounding_unit(features, weight, logits, *([] if received is None else [received]))
    if quantized:
        unit = max(unit, _QUANTIZED)
    wide, actual = weight.detach().float(), logits.detach().float()
    offset = 0.0 if bias is None else bias.detach().float()
    best, allowed, tried = float("inf"), 0.0, []
    pool_seen = False
    planes = features if features.dim() == 4 else features.flatten(2)[:, :, None]
    for name, pooled in _poolings(model, planes.detach().float()):
        tried.append(name)
        expected = pooled @ wide.T + offset
        spread = (pooled.square() @ wide.T.square()).sqrt()
        difference = (expected - actual).abs()
        tolerance = _ROUNDINGS * unit * (spread + actual.abs())
        if bool((difference <= tolerance).all()):
            return None
        if float(difference.max()) < best:
            best, allowed = float(difference.max()), float(tolerance.flatten()[difference.argmax()])
        pool_seen = pool_seen or _same(received, pooled, unit)
    if pool_seen:
        where = "the classifier does receive the pooled features, so the logits are not its plain output"
    elif received is not None and received.dim() > 2 and received.shape[2:].numel() != 1:
        where = "the classifier runs before the pooling, and more than a pooling follows it"
    else:
        where = "what the classifier receives is not the pooling of these features"
    return (
        f"pooled features times weight plus bias (pooling: {', '.join(tried)}) differ from the logits by up to "
        f"{best:.3g} where rounding explains {allowed:.1g}; {where}"
    )


def _poolings(model: nn.Module, features: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield "mean", features.mean((2, 3))
    for threshold in sorted({float(part.threshold) for part in model.modules() if isinstance(part, TAP)}):
        yield f"TAP({threshold:g})", tap(features, threshold)
    for r in sorted({part.r for part in model.modules() if isinstance(part, LSE)}):
        yield f"LSE({r:g})", lse(features, r)
    yield "max", features.amax((2, 3))


def rounding_unit(*tensors: Tensor) -> float:
    """Return by what share two ways to compute the same from these tensors may differ at each step."""
    unit = max(torch.finfo(tensor.dtype).eps for tensor in tensors)
    # Convolutions on CUDA may run in TF32, with 10 bits of mantissa, whatever the tensors' dtype says.
    return max(unit, 2.0**-10 if tensors[0].is_cuda else 2.0**-17)


def _same(received: Tensor | None, pooled: Tensor, unit: float) -> bool:
    if received is None or received.shape[0] != pooled.shape[0] or received[0].numel() != pooled.shape[1]:
        return False
    flat = received.detach().flatten(1).float()
    return bool(((flat - pooled).abs() <= 2 * unit * (flat.abs() + pooled.abs())).all())


def levels_to_caller() -> int:
    """How many frames up, counted from the caller of this, the code is that called fastcam."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("fastcam."):
        level, frame = level + 1, frame.f_back
    return level
