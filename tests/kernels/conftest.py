"""Kernels run on the GPU where there is one, and in Triton's interpreter where there is none."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest
import torch

from fastcam.ops.masks import unpack
from fastcam.reference import masks as reference

if find_spec("triton") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def assert_binarizes_as_reference():
    """Compares the kernels from maps to packed masks with the reference, bit for bit."""
    from fastcam.kernels import masks as kernel

    def compare(maps, size, protocol, with_maps=True):
        n, (height, width) = len(maps), size
        packed = torch.full((n, height, -(-width // 64)), -1, device=maps.device)
        thresholds = torch.full((n,), 7.0, device=maps.device)
        full = torch.full((n, *size), 7, dtype=torch.uint8 if protocol.quantize else torch.float32, device=maps.device)
        kernel.binarize(
            maps.contiguous(),
            size,
            protocol,
            packed=packed,
            thresholds=thresholds,
            maps=full if with_maps else None,
        )
        wanted = reference.kept(maps, size, protocol)
        if with_maps:
            torch.testing.assert_close(full, wanted[0], rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(thresholds, wanted[1], rtol=0, atol=0, equal_nan=True)
        assert torch.equal(unpack(packed, width), wanted[2])

    return compare


@pytest.fixture(scope="session")
def device():
    """Where the kernels are launched."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("no GPU, and TRITON_INTERPRET is not 1")
    from interpreted import patch_once_a_launch

    patch_once_a_launch()
    return torch.device("cpu")


# The interpreter computes by NumPy, which warns of what IEEE arithmetic does silently.
def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/kernels" in item.path.as_posix():
            item.add_marker(pytest.mark.filterwarnings("ignore::RuntimeWarning"))
