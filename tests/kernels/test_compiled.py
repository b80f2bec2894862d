"""The kernels compiled for GPUs that are not here, and what their machine code must look like."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "compiled.py"
SOME = "14x14 .*bfloat16|(PAPER|AUTHORS) 224x224 alone|PAPER 14x14"


def compiled(architecture, names):
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    told = subprocess.run(
        [sys.executable, BENCH, str(architecture), names], check=True, capture_output=True, text=True, env=environment
    ).stdout
    return json.loads(told)


@pytest.fixture(scope="module", params=[90, pytest.param(80, marks=pytest.mark.long)])
def launches(request):
    """What is launched, for an architecture."""
    found = compiled(request.param, SOME)
    return {kind: [one for one in found if one["case"].startswith(kind)] for kind in ("TAP", "cam", "masks")}


def assert_lean(launch, registers=128):
    name = launch["case"], launch["kernel"]
    assert launch["stack"] == launch["spills"] == launch["flushes"] == 0, name
    assert launch["registers"] <= registers, name


def test_pooling(launches):
    assert len(launches["TAP"]) == 6
    for launch in launches["TAP"]:
        assert_lean(launch)
        moved = launch["stores"] if "backward" in launch["case"] else launch["loads"]
        assert moved.get("64", 0) >= 14, launch  # bfloat16 planes of 196 values begin at multiples of 8 bytes
        # Instructions a value: more than about 13 take longer than the memory does.
        lanes = 32 * launch["warps"] * launch["programs"]
        assert launch["instructions"] * lanes <= 13 * 256 * 1024 * 196, launch


def test_the_weighted_sum(launches):
    assert [launch["kernel"] for launch in launches["cam"]] == ["_partial_sums", "_add_up"] * 2
    for launch in launches["cam"]:
        assert_lean(launch)
        wide = "64" if "NCHW" in launch["case"] and launch["kernel"] == "_partial_sums" else "128"
        assert launch["loads"].get(wide, 0) >= 4, launch


def test_masks(launches):
    assert [launch["kernel"] for launch in launches["masks"]] == ["widen", "find_threshold", "_mask"] * 3
    for launch in launches["masks"]:
        assert_lean(launch)
        # Maps equal the reference's bit for bit, which one rounding for two would break; other multiply-adds are those
        # that a division is made of.
        division = launch["kernel"] == "find_threshold" and "AUTHORS" in launch["case"]
        assert launch["contractions"] == 0 or division, launch
        assert launch["kernel"] not in ("widen", "_mask") or "128" in launch["loads"] or "14x14" in launch["case"]


@pytest.mark.long
def test_everything_without_a_stack():
    for launch in compiled(90, ""):
        assert_lean(launch, 255)
