"""The component tree of a map of levels: every component at every threshold, and what each becomes part of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastcam.reference.components import labelled_components

__all__ = ["Node", "nodes"]


@dataclass
class Node:
    """A component of ``levels > t`` for t from ``level - 1`` down to its parent's level: its box, pixels and peak."""

    x0: int
    y0: int
    x1: int
    y1: int
    pixels: int
    peak: int
    level: int
    parent: int


def nodes(levels: npt.NDArray[np.uint8]) -> list[Node]:
    """All nodes of ``levels`` (H, W), 8-connected, from the highest level down; ``parent`` is a place in the list.

    A component that stays the same from one threshold to the next is one node. The parent of the last ones is -1.
    """
    found: list[Node] = []
    last = np.full(levels.shape, -1)  # the newest node that each pixel is part of
    for level in np.unique(levels[levels > 0])[::-1].tolist():
        components, labels = labelled_components(levels >= level)
        for label, c in enumerate(components, 1):
            inside = labels == label
            children = np.unique(last[inside])
            if len(children) == 1 and children[0] >= 0:  # nothing new
                continue
            for child in children[children >= 0]:
                found[child].parent = len(found)
            last[inside] = len(found)
            found.append(Node(c.x0, c.y0, c.x1, c.y1, c.pixels, int(levels[inside].max()), level, -1))
    return found
