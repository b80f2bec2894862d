"""From logits to classes, their boxes and their probabilities."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from fastcam.activation import Index
from fastcam.localization import Localization, localize

__all__ = ["check_choice", "localize_classes"]


def localize_classes(
    features: Tensor,
    weight: Tensor,
    logits: Tensor,
    index: Index | None = None,
    *,
    top_k: int | None = None,
    **options: Any,  # noqa: ANN401
) -> Localization:
    """Choose classes by their logits where no index is given, localize them, and add their probabilities.

    Args:
        features: (N, C, h, w); see :func:`fastcam.localize`.
        weight: (K, C) of the classifier.
        logits: (N, K) that belong to them.
        index: the classes; None: each image's top-1, or its ``top_k``.
        top_k: instead of ``index``: how many classes an image, best first.
        options: those of :func:`fastcam.localize`.

    Returns:
        The :class:`fastcam.Localization`, ``scores`` included.

    Raises:
        TypeError: as :func:`fastcam.localize`, or ``top_k`` is not an int.
        ValueError: as :func:`fastcam.localize`, ``top_k`` out of range, or both ``index`` and ``top_k``.

    Example:
        >>> import torch
        >>> features, weight = torch.rand(2, 8, 7, 7), torch.rand(5, 8)
        >>> logits = features.mean((2, 3)) @ weight.T
        >>> localize_classes(features, weight, logits, top_k=3, size=(56, 56)).scores.shape
        torch.Size([2, 3])
    """
    check_choice(index, top_k)
    found = localize(features, weight, _best(logits, top_k) if index is None else index, **options)
    return dataclasses.replace(found, scores=_scores(logits, found.labels))


def check_choice(index: Index | None, top_k: int | None) -> None:
    """Refuse ``index`` and ``top_k`` at once."""
    if index is not None and top_k is not None:
        raise ValueError("index and top_k exclude each other: give one of them")


def _best(logits: Tensor, top_k: int | None) -> Tensor:
    if top_k is None:
        return logits.argmax(1)
    if isinstance(top_k, bool) or not isinstance(top_k, int):
        raise TypeError(f"top_k must be an int, got {top_k!r}")
    if not 1 <= top_k <= logits.shape[1]:
        raise ValueError(f"top_k must lie in [1, {logits.shape[1]}], the number of classes, got {top_k}")
    return logits.topk(top_k, dim=1).indices


def _scores(logits: Tensor, classes: Tensor | None) -> Tensor:
    assert classes is not None
    table = classes if classes.dim() == 2 else classes[:, None]
    # On CUDA the range was not checked, and a gather outside it would abort the process's context.
    inside = (table >= 0) & (table < logits.shape[1])
    scores = logits.float().softmax(1).gather(1, table.clamp(0, logits.shape[1] - 1))
    return scores.where(inside, torch.nan).reshape(classes.shape)
