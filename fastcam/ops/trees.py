"""The component trees of maps of levels. How many nodes there are depends on the data, so this is no operator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastcam.ops.arguments import check_levels
from fastcam.ops.core import core
from fastcam.reference import trees as reference
from fastcam.reference.stability import stable

__all__ = ["box_trees", "stable_levels"]

_Int64 = npt.NDArray[np.int64]


def box_trees(levels: Tensor) -> tuple[npt.NDArray[np.float32], _Int64, _Int64, _Int64, _Int64, _Int64, _Int64]:
    """Every node of levels (N, H, W) uint8 on the CPU, map by map, children before their parents.

    Boxes (M, 4); areas, peaks, births, deaths, parents among all nodes or -1, and the numbers of the maps, (M,) each.
    """
    check_levels(levels)
    host = levels.contiguous()
    if core is not None:
        count, height, width = host.shape
        return core.box_trees(host.data_ptr(), count, height, width, torch.get_num_threads())
    rows = []
    for i, one in enumerate(host.numpy()):
        first, nodes = len(rows), reference.nodes(one)
        for n in nodes:
            death, parent = (nodes[n.parent].level, first + n.parent) if n.parent >= 0 else (0, -1)
            rows.append((n.x0, n.y0, n.x1, n.y1, n.pixels, n.peak, n.level, death, parent, i))
    table = np.array(rows, np.int64).reshape(-1, 10)
    areas, peaks, births, deaths, parents, maps = np.ascontiguousarray(table[:, 4:].T)
    return table[:, :4].astype(np.float32), areas, peaks, births, deaths, parents, maps


def stable_levels(levels: Tensor) -> Tensor:
    """The most stable threshold of each of levels (N, H, W) uint8: (N,) int64. It is found on the CPU."""
    check_levels(levels)
    host = levels.cpu().contiguous()
    thresholds = torch.zeros(len(host), dtype=torch.int64, device="cpu")
    if core is not None:
        count, height, width = host.shape
        core.stable_levels(host.data_ptr(), count, height, width, thresholds.data_ptr(), torch.get_num_threads())
    else:
        for i, one in enumerate(host.numpy()):
            thresholds[i] = stable(one)
    return thresholds.to(levels.device)
