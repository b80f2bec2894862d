"""A network as a program of ``torch.export``, from which all files are made: :func:`program_of`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from fastcam.exporting.exported import ExportedNetwork
from fastcam.pooling import decompositions

__all__ = ["program_of"]


def program_of(exported: ExportedNetwork) -> ExportedProgram:
    r"""Trace a network for any number of images.

    A program for maps holds no operator of fastcam's, so that it runs without: a map is
    :math:`M_k = \sum_c w_{k,c} F_c` (Eq. 2), with max(w, 0) where the protocol clamps (Eq. 5), as one matrix product.
    It is summed in another order than :func:`fastcam.cam` sums, equal to about 1e-6; and a NaN in a channel of weight
    0 makes the map NaN.
    """
    with torch.no_grad():
        program: ExportedProgram = torch.export.export(
            exported, (exported.example(),), dynamic_shapes=({0: Dim("batch")},)
        )
        if exported.what == "boxes":
            return program
        own = {torch.ops.fastcam.cam.default: _cam, torch.ops.fastcam.in_range.default: _in_range}
        decomposed: ExportedProgram = program.run_decompositions({**decompositions(), **own})
        return decomposed


def _cam(features: Tensor, weight: Tensor, index: Tensor | None, clamp_negative: bool) -> Tensor:
    work = torch.float64 if features.dtype == torch.float64 else torch.float32
    rows = weight.to(work) if index is None else weight.to(work)[index]
    rows = rows.clamp_min(0) if clamp_negative else rows
    maps: Tensor = torch.bmm(rows if rows.dim() == 3 else rows[:, None], features.to(work).flatten(2))
    maps = maps.unflatten(2, features.shape[2:])
    return maps if rows.dim() == 3 else maps[:, 0]


def _in_range(index: Tensor, classes: int) -> Tensor:  # noqa: ARG001
    return index.clone()
