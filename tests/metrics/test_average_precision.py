"""The documentation's recipe for COCO's average precision, by torchmetrics and not a metric of our own."""

from __future__ import annotations

import dataclasses
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

import fastcam

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
MISSING = [name for name in ("torchvision", "pycocotools") if find_spec(name) is None]


def recipe():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = [one for one in blocks if "MeanAveragePrecision" in one]
    return block


def test_the_recipe_is_short_and_is_python():
    compile(recipe(), "docs/metrics.md", "exec")
    assert len([line for line in recipe().splitlines() if line and not line.startswith("from")]) == 3


@pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}")
@pytest.mark.filterwarnings("ignore")
def test_it_gives_the_average_precision_that_counting_gives():
    heat = torch.zeros(4, 20, 20)
    for image, (x0, y0, x1, y1) in zip(heat, ((2, 2, 12, 12), (5, 0, 15, 10), (0, 0, 6, 6), (0, 0, 0, 0)), strict=True):
        image[y0:y1, x0:x1] = 1
    found = dataclasses.replace(
        fastcam.boxes_from_maps(heat),
        labels=torch.tensor([1, 1, 1, 1]),
        scores=torch.tensor([0.9, 0.8, 0.7, 0.6]),
    )
    # Right, right up to an IoU of 100/110, wrong, and nothing found: two of four objects, first in the order.
    boxes = [[[2, 2, 12, 12]], [[5, 0, 16, 10]], [[10, 10, 20, 20]], [[3, 3, 9, 9]]]
    truth = [
        {"boxes": torch.tensor(one, dtype=torch.float32), "labels": torch.ones(1, dtype=torch.int64)} for one in boxes
    ]
    names = {"found": found, "truth": truth}
    exec(recipe(), names)
    ap = names["ap"]
    # Of 101 recalls, 0 to 0.5 are reached with precision 1; at the tenth IoU, 0.95, only those to 0.25.
    assert ap["map_50"].item() == pytest.approx(51 / 101, abs=1e-6)
    assert ap["map"].item() == pytest.approx((9 * 51 + 26) / 1010, abs=1e-6)
