"""The kernels compiled for GPUs that are not here, and what their machine code must look like."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "compiled.py"


def compiled(architecture, *words):
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    told = subprocess.run(
        [sys.executable, BENCH, str(architecture), *words], check=True, capture_output=True, text=True, env=environment
    ).stdout
    return json.loads(told)


def assert_lean(launch, registers):
    name = launch["case"], launch["kernel"]
    assert launch["stack"] == launch["spills"] == launch["flushes"] == 0, name
    assert launch["registers"] <= registers, name


ARCHITECTURES = [90, pytest.param(80, marks=pytest.mark.long)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_pooling(architecture):
    found = compiled(architecture, "TAP", "14x14", "bfloat16")
    assert len(found) == 6
    for launch in found:
        assert_lean(launch, 128)
        moved = launch["stores"] if "backward" in launch["case"] else launch["loads"]
        assert moved.get("64", 0) >= 14, launch  # bfloat16 planes of 196 values begin at multiples of 8 bytes
        # Instructions a value: more than about 13 take longer than the memory does.
        lanes = 32 * launch["warps"] * launch["programs"]
        assert launch["instructions"] * lanes <= 13 * 256 * 1024 * 196, launch


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_weighted_sum(architecture):
    found = compiled(architecture, "cam", "14x14", "bfloat16")
    assert [launch["kernel"] for launch in found] == ["_partial_sums", "_add_up"] * 2
    for launch in found:
        assert_lean(launch, 128)
        wide = "64" if "NCHW" in launch["case"] and launch["kernel"] == "_partial_sums" else "128"
        assert launch["loads"].get(wide, 0) >= 4, launch


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("protocol", ["PAPER", "AUTHORS"])
def test_masks(protocol, architecture):
    widen, binarize = compiled(architecture, f"masks, {protocol} 224x224 alone")
    assert_lean(widen, 64)
    assert_lean(binarize, 255)
    assert binarize["loads"]["128"] >= 32
    # Maps equal the reference's bit for bit, which one rounding for two would break; in AUTHORS the multiply-adds are
    # those that a division is made of.
    assert widen["contractions"] == 0
    assert binarize["contractions"] == 0 or protocol == "AUTHORS"


@pytest.mark.long
def test_everything_without_a_stack():
    for launch in compiled(90):
        if "14x14" not in launch["case"] or "masks" not in launch["case"]:
            assert_lean(launch, 255)
