"""What measures on a GPU, as far as that shows without one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import gpu
import pytest
import torch

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "bench" / "on_gpu.sh"


@pytest.mark.filterwarnings("ignore:.* should not be instantiated:DeprecationWarning")
def test_peers_are_compiled_for_every_shape_also_after_the_eighth():
    compilations = []

    def backend(graph, inputs):  # noqa: ARG001
        compilations.append(1)
        return graph.forward

    for n in range(1, 12):
        gap, composite = gpu.compiled_anew(lambda x: x.mean((2, 3)), gpu.composite_tap, backend=backend)
        x = torch.arange(n * 8.0).view(1, n, 2, 4)
        torch.testing.assert_close(gap(x), x.flatten(2).mean(2))
        torch.testing.assert_close(composite(x), gpu.composite_tap(x))
    assert len(compilations) == 22


def test_a_composite_that_is_measured_in_a_graph_is_compared_with_what_is_measured_in_a_graph():
    assert gpu.times_faster({"to packed masks": 2.0, "the map alone": 1.0, "composite, eager": 8.0}) == 4
    assert gpu.times_faster({"to packed masks": 2.0, "composite, eager": 8.0, "composite, compiled": 6.0}) == 3


def test_a_bare_source_tree_compiles_its_kernels(tmp_path):
    pytest.importorskip("triton")
    for installed in Path(sysconfig.get_path("purelib")).iterdir():  # but for the package, and what brings its source
        if "fastcam" not in installed.name:
            (tmp_path / installed.name).symlink_to(installed)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "TRITON_INTERPRET": "0"}
    told = subprocess.run(
        [sys._base_executable, "bench/compiled.py", "90", "no such case"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (told.returncode, told.stdout, told.stderr) == (0, "[]\n", "")


def test_the_script_parses_and_names_what_exists():
    assert subprocess.run(["bash", "-n", SCRIPT], capture_output=True, text=True).stderr == ""
    named = set(re.findall(r"\b(?:bench|tests)/[\w./]+", SCRIPT.read_text()))
    assert {"bench/gpu.py", "tests/gpu", "tests/kernels"} <= named
    assert [name for name in named if not (ROOT / name.rstrip(".")).exists()] == []


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["a", "full", "c"]], ids=str)
def test_the_script_says_how_it_is_called(arguments):
    told = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == "usage: bench/on_gpu.sh FOLDER [full]\n"
