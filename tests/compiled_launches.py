"""Kernels compiled for a GPU that need not be there, by the installed Triton or by that of PyTorch 2.11.

The latter is put into build/triton36 by `make .make/triton36`.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["assert_alike", "assert_lean", "compiled"]

ROOT = Path(__file__).parents[1]
OTHER = ROOT / "build" / "triton36"


@functools.cache
def compiled(architecture, names, other):
    """What ``bench/compiled.py`` tells of the cases that match; ``other``: by Triton 3.6.0, or the test is skipped."""
    if other and not OTHER.exists():
        pytest.skip("no build/triton36: make .make/triton36 installs Triton 3.6.0 there")
    path = [str(OTHER)] * other + [os.environ[name] for name in ("PYTHONPATH",) if name in os.environ]
    environment = {**os.environ, "TRITON_INTERPRET": "0", "PYTHONPATH": os.pathsep.join(path)}
    told = subprocess.run(
        [sys.executable, ROOT / "bench" / "compiled.py", str(architecture), names],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    ).stdout
    found = json.loads(told)
    assert {one["compiler"] == "3.6.0" for one in found} == {other}
    return found


def assert_lean(launch, registers=128):
    """Nothing is kept on a stack, and denormals are."""
    name = launch["case"], launch["kernel"], launch["compiler"]
    assert launch["stack"] == launch["spills"] == launch["flushes"] == 0, name
    assert launch["registers"] <= registers, name


def assert_alike(launches, others):
    """The other compiler needs at most a tenth more instructions."""
    for one, other in zip(launches, others, strict=True):
        name = one["case"], one["kernel"]
        assert name == (other["case"], other["kernel"])
        assert other["instructions"] <= 1.1 * one["instructions"], name
