"""The kernels of connected components compiled for GPUs that are not here."""

from __future__ import annotations

import pytest
from compiled_launches import assert_alike, assert_lean, compiled

CASES = "components.* 224x224"
# Of 65,536 registers, those of two programs of 8 warps, of three, and of four.
REGISTERS = {"scored": 96, "polygon": 80, "pixels": 64}


@pytest.mark.parametrize("other", [False, True], ids=["installed", "3.6.0"])
@pytest.mark.parametrize("architecture", [90, *(pytest.param(n, marks=pytest.mark.long) for n in (80, 100))])
def test_components_take_few_registers_and_no_trips_through_shared_memory(architecture, other):
    launches = compiled(architecture, CASES, other)
    assert [launch["kernel"] for launch in launches] == ["_largest"] * 4 + ["_every"] * 4 + ["_objects"] * 4
    for launch in launches:
        scored = launch["kernel"] == "_objects"
        kind = "scored" if scored else "polygon" if "polygon" in launch["case"] else "pixels"
        assert_lean(launch, REGISTERS[kind])
        assert launch["instructions"] <= (3000 if scored else 2500), launch
        # More than what reductions take would be trips through shared memory from one layout to another.
        assert launch["shared"] <= 128, launch


def test_both_compilers_make_the_same_of_a_kernel():
    assert_alike(compiled(90, CASES, False), compiled(90, CASES, True))
