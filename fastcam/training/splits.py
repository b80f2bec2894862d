"""A stratified cut of the training images: the same share of every class is held out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["stratified"]


def stratified(labels: Sequence[int], share: float, *, seed: int) -> tuple[list[int], list[int]]:
    """Cut images in two, class by class.

    Args:
        labels: (N,), the classes.
        share: of each class that is held out, in [0, 1); rounded to whole images, but at least one and never all where
            a class has two images or more and the share is above 0. A class with one image keeps it for training.
        seed: settles which.

    Returns:
        The numbers of the images to train on and of those held out, each in ascending order.

    Raises:
        ValueError: a share outside [0, 1).

    Example:
        >>> stratified([0, 1, 0, 1, 0, 1, 0, 1], 0.25, seed=0)
        ([2, 3, 4, 5, 6, 7], [0, 1])
    """
    if not 0 <= share < 1:
        raise ValueError(f"share must lie in [0, 1), got {share!r}")
    draw = np.random.default_rng(np.random.SeedSequence([seed, 0x5917]))
    held = []
    for label in sorted(set(labels)):
        members = np.flatnonzero(np.asarray(labels) == label)
        count = min(max(round(share * len(members)), 1), len(members) - 1) if share else 0
        held += draw.permutation(members)[:count].tolist()
    out = set(held)
    return [number for number in range(len(labels)) if number not in out], sorted(out)
