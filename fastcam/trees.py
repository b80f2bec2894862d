"""Every component of a map over all thresholds at once: its component tree, with a box for each node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from fastcam.localization import checked_maps
from fastcam.ops.score_maps import score_levels
from fastcam.ops.trees import box_trees

__all__ = ["BoxTree", "box_tree"]


@dataclass(frozen=True)
class BoxTree:
    """The component trees of N maps: M nodes in all, map by map, children before their parents.

    A node is a component, 8-connected, that is the same for every threshold t with ``deaths <= t < births``, where t
    keeps the levels above it. As t falls it grows, or is joined to another one: that is its parent.

    Attributes:
        boxes: (M, 4) float32, x0, y0, x1, y1, half-open, in pixels of the maps.
        areas: (M,) int64, pixels.
        peaks: (M,) int64, the highest level inside.
        births: (M,) int64, the lowest level inside: from one below it on the component is kept. They never rise within
            a map.
        deaths: (M,) int64, the parent's ``births``; 0 where there is no parent.
        parents: (M,) int64, the number of each node's parent among all M; -1 where there is none.
        image: (M,) int64, the number of the map.

    Raises:
        TypeError: of :meth:`at`, a threshold that is no whole number.

    Example:
        >>> import torch, fastcam
        >>> levels = torch.tensor([[9, 9, 1, 5]], dtype=torch.uint8)
        >>> tree = fastcam.box_tree(levels)
        >>> tree.boxes.tolist(), tree.areas.tolist()
        ([[0.0, 0.0, 2.0, 1.0], [3.0, 0.0, 4.0, 1.0], [0.0, 0.0, 4.0, 1.0]], [2, 1, 4])
        >>> tree.births.tolist(), tree.deaths.tolist(), tree.parents.tolist()
        ([9, 5, 1], [1, 1, 0], [2, 2, -1])
        >>> tree.at(4).tolist(), tree.at(7).tolist()
        ([0, 1], [0])
    """

    boxes: Tensor
    areas: Tensor
    peaks: Tensor
    births: Tensor
    deaths: Tensor
    parents: Tensor
    image: Tensor

    @property
    def lifetimes(self) -> Tensor:
        """(M,) int64: for how many thresholds each component stays the same."""
        return self.births - self.deaths

    def __len__(self) -> int:
        """Return the number of nodes, M."""
        return len(self.boxes)

    def at(self, threshold: int | Tensor) -> Tensor:
        """Return the numbers of the nodes that are the components of ``levels > threshold``.

        Args:
            threshold: one for all maps, or (N,), one each; of the levels, from 0 to 255.

        Raises:
            TypeError: a threshold that is no whole number.
        """
        whole = not torch.as_tensor(threshold).dtype.is_floating_point
        if isinstance(threshold, bool) or not whole:
            raise TypeError(f"threshold must be whole numbers, got {threshold!r}")
        limit = threshold[self.image] if isinstance(threshold, Tensor) and threshold.ndim else threshold
        return ((self.deaths <= limit) & (limit < self.births)).nonzero()[:, 0]


def box_tree(maps: Tensor | npt.NDArray[Any]) -> BoxTree:
    """Find every component of maps over all thresholds at once.

    It holds what any threshold keeps, so a scan over thresholds, hysteresis and the choice of stable regions (as in
    MSER, Matas et al., BMVC 2002) are questions to it.

    Args:
        maps: (N, H, W), (N, 1, H, W) or (H, W), tensor or NumPy array. uint8 are levels as they are; of floating-point
            maps each is cut into levels, ``trunc(255 (x - min) / (max - min))``. A map that is constant or not finite
            has level 0 everywhere, and no node.

    Returns:
        :class:`BoxTree`, on the maps' device; it is found on the CPU.

    Raises:
        TypeError: maps of another type, dtype or layout.
        ValueError: maps of another rank, without pixels, or with a side of more than 65535.

    Example:
        >>> import torch, fastcam
        >>> y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
        >>> hill = torch.exp(-((x - 20) ** 2 + (y - 40) ** 2) / 200)
        >>> tree = fastcam.box_tree(hill)
        >>> tree.boxes[tree.at(127)]
        tensor([[ 9., 29., 32., 52.]])
    """
    several = checked_maps(maps)
    host = several.cpu()
    if host.dtype != torch.uint8:
        host, _ = score_levels(host, host.shape[1], host.shape[2], True)
    return BoxTree(*(torch.from_numpy(column).to(several.device) for column in box_trees(host)))
