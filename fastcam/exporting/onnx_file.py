"""A network as an ONNX file, in plain operators: :func:`onnx_bytes`."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping

import torch

from fastcam.exporting.exported import ExportedNetwork
from fastcam.exporting.programs import program_of

__all__ = ["onnx_bytes"]

_MOST = (1 << 31) - 1  # what a file in Google's protocol buffers may hold


def onnx_bytes(exported: ExportedNetwork, metadata: Mapping[str, str]) -> bytes:
    """Return the file's content.

    Raises:
        ImportError: onnx or onnxscript is not installed.
        ValueError: weights of 2 GB or more.
    """
    for name in ("onnx", "onnxscript"):
        if importlib.util.find_spec(name) is None:
            raise ImportError(f'format="onnx" needs {name}: pip install onnx onnxscript')
    size = sum(value.numel() * value.element_size() for value in exported.state_dict().values())
    if size > _MOST:
        raise ValueError(f"an ONNX file holds at most {_MOST} bytes, the weights are {size}")
    with warnings.catch_warnings(), torch.no_grad():
        # PyTorch's exporter warns of parts of itself that are to go.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        program = torch.onnx.export(
            program_of(exported),
            input_names=["images"],
            output_names=list(exported.outputs),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(metadata)
    content: bytes = program.model_proto.SerializeToString()
    return content
