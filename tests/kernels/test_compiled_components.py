"""The kernels of connected components compiled for GPUs that are not here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "compiled.py"
# Of 65,536 registers, those of three programs of 8 warps.
REGISTERS = 80


@pytest.mark.parametrize("architecture", [90, pytest.param(80, marks=pytest.mark.long)])
def test_components_take_few_registers_and_no_trips_through_shared_memory(architecture):
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    command = [sys.executable, BENCH, str(architecture), "components.* 224x224"]
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    launches = json.loads(told)
    assert [launch["kernel"] for launch in launches] == ["_largest"] * 4 + ["_every"] * 4
    for launch in launches:
        assert launch["stack"] == launch["spills"] == 0, launch
        assert launch["registers"] <= REGISTERS, launch
        assert launch["instructions"] <= 2800, launch
        # More than what reductions take would be trips through shared memory from one layout to another.
        assert launch["shared"] <= 128, launch
