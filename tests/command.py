"""Running commands, ``fastcam localize`` with the network of tests/cli/conftest.py, and reading what it wrote."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("click")
pytest.importorskip("cv2")
pytest.importorskip("tqdm")
Image = pytest.importorskip("PIL.Image")

from click.testing import CliRunner  # noqa: E402

import fastcam  # noqa: E402
from fastcam.cli.main import main  # noqa: E402

PLAIN = ["--input-size", "64", "--mean", "0", "0", "0", "--std", "1", "1", "1"]
COLOURS = {"red": 0, "green": 1, "blue": 2}


def paint(path, colour="red", size=(96, 128), box=(32, 24, 80, 72)):
    """Save a black picture of size (H, W) with a coloured box."""
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2], COLOURS[colour]] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def invoke(*arguments, code=0):
    """Run ``fastcam`` in this process; errors that it does not catch are raised."""
    result = CliRunner().invoke(main, list(map(str, arguments)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def run(*arguments, model="toy_network:Colours", code=0):
    return invoke("localize", "--model", model, *PLAIN, "--out", "out", *arguments, code=code)


def process(*arguments, model="toy_network:Colours", **kwargs):
    command = [sys.executable, "-c", "from fastcam.cli.main import main; main(prog_name='fastcam')", "localize"]
    return subprocess.run(
        [*command, "--model", model, *PLAIN, "--out", "out", *map(os.fspath, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **kwargs,
    )


def rows(here):
    with open(here / "out" / "boxes.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def box(row):
    return [float(row[name]) for name in ("x0", "y0", "x1", "y1")]


def overlap(row, expected):
    return float(fastcam.box_iou(torch.tensor([box(row)]), torch.tensor([expected])))


def direct(path, size, **kwargs):
    """The box of red by fastcam.localize itself."""
    small = Image.open(path).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)
    small = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None] / 255
    features = torch.nn.functional.avg_pool2d(small, 4)
    return fastcam.localize(features, torch.eye(3), [0], size=size, **kwargs).boxes[0].tolist()


def load(here, name):
    return json.loads((here / "out" / name).read_text(encoding="utf-8"))
