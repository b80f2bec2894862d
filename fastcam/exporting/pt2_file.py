"""A network as a program of ``torch.export`` in a file: :func:`pt2_bytes`."""

from __future__ import annotations

import io
from collections.abc import Mapping

import torch

from fastcam.exporting.exported import ExportedNetwork
from fastcam.exporting.programs import program_of

__all__ = ["pt2_bytes"]


def pt2_bytes(exported: ExportedNetwork, metadata: Mapping[str, str]) -> bytes:
    """Return the content of the file, which ``torch.export.load`` reads; the metadata are extra files in it."""
    buffer = io.BytesIO()
    torch.export.save(program_of(exported), buffer, extra_files=dict(metadata))
    return buffer.getvalue()
