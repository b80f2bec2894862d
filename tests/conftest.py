"""What every test may ask for; nothing here is the subject of a test."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from classifiers import N, Net
from hypothesis import HealthCheck, settings

import fastcam
from fastcam.ops.core import core

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before triton is imported
if find_spec("fastcam.kernels") is None:  # a copied source tree, in which they lie beside the package
    fastcam.__path__.append(str(Path(__file__).parents[1]))

settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    # The fixtures below set up what does not change between examples.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("ci")


@pytest.fixture
def poisoned_memory() -> Iterator[None]:
    """Fresh tensors hold NaN, or the largest integer, so that an output that is not written shows."""
    before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.utils.deterministic.fill_uninitialized_memory = before[1]


@pytest.fixture
def restored_threads() -> Iterator[None]:
    """A test may call ``torch.set_num_threads``."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=core.cores() if core is not None else ["reference"])
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test with every build of the core that this processor runs."""
    if core is None:
        yield request.param
        return
    before = core.core()
    core.choose_core(request.param)
    yield request.param
    core.choose_core(before)


@pytest.fixture
def images() -> torch.Tensor:
    """A batch for the small classifier."""
    return torch.rand(N, 3, 40, 32)


@pytest.fixture
def model() -> Net:
    """The small classifier, in eval mode."""
    return Net().eval()


_INNOCENT = """
import pathlib
pathlib.Path("ran").touch()
def run():
    pathlib.Path("ran").touch()
"""


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    """A working folder with a module that would leave a trace, which nothing may."""
    (tmp_path / "innocent.py").write_text(_INNOCENT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield tmp_path
    assert not (tmp_path / "ran").exists()
    assert "innocent" not in sys.modules
    # Kilobytes: nothing here is worth half a gigabyte.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000
