"""Whether a tensor passes through on the way to an ONNX file: :func:`exports_to_onnx`."""

from __future__ import annotations

import sys

from torch import Tensor
from torch.jit._trace import is_tracing

__all__ = ["exports_to_onnx"]


def exports_to_onnx(x: Tensor) -> bool:
    """Return whether ``torch.onnx.export``, of either kind, is running with this tensor."""
    if type(x) is Tensor and not is_tracing():
        return False
    # Importing it takes longer than importing fastcam; whoever exports has it.
    onnx = sys.modules.get("torch.onnx")
    return onnx is not None and bool(onnx.is_in_onnx_export())
