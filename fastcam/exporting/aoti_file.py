"""A network compiled ahead of time, as a package of AOTInductor: :func:`aoti_bytes`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch._inductor import exc

from fastcam.exporting.errors import ExportError
from fastcam.exporting.exported import ExportedNetwork
from fastcam.exporting.programs import program_of

__all__ = ["aoti_bytes"]


def aoti_bytes(exported: ExportedNetwork, metadata: Mapping[str, str]) -> bytes:
    """Return the content of the package, which ``torch._inductor.aoti_load_package`` reads.

    Raises:
        ExportError: there is no C++ compiler.
    """
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        get_cpp_compiler()
    except exc.InvalidCxxCompiler as error:
        raise ExportError(
            "format", f'format="aoti" needs a C++ compiler, such as g++; PyTorch found none: {error}'
        ) from error
    program = program_of(exported)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder, "network.pt2")
        torch._inductor.aoti_compile_and_package(
            program, package_path=str(path), inductor_configs={"aot_inductor.metadata": dict(metadata)}
        )
        return path.read_bytes()
