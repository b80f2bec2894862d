"""The README's code blocks do what they say."""

from __future__ import annotations

import doctest
import subprocess
import sys

import pytest
from documentation import ROOT, blocks, links, run, run_as_written

README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL_BLOCKS = blocks(README, "sh")


def test_python_blocks_print_what_they_show():
    failed, attempted = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert attempted >= 10
    assert failed == 0


def test_python_blocks_are_typed(tmp_path):
    """By mypy --strict, as it is run on the package itself, with its cache."""
    pytest.importorskip("mypy")
    examples = doctest.DocTestParser().get_examples(README)
    lines = [one.source if "=" in one.source or "import" in one.source else f"_ = {one.source}" for one in examples]
    script = tmp_path / "readme.py"
    script.write_text("".join(lines), encoding="utf-8")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(script)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_pictures_and_links_into_the_tree_exist():
    assert links(README)
    assert [link for link in links(README) if not (ROOT / link).exists()] == []


def test_it_is_short():
    assert len(README.splitlines()) <= 140


@pytest.mark.parametrize("block", [block for block in SHELL_BLOCKS if "make" not in block])
def test_commands_run_as_written(block, tmp_path):
    run_as_written(block, tmp_path)


@pytest.mark.long
def test_demo_runs_in_a_fresh_clone(tmp_path):
    assert "make demo\n" in SHELL_BLOCKS
    clone = tmp_path / "fastcam"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    printed = run("make demo", clone).stdout
    assert "chelsea.png" in printed
    assert len(list((clone / "demo" / "overlays").iterdir())) == 5
