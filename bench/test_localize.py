"""From features to boxes, beside PyTorch and OpenCV."""

from __future__ import annotations

from functools import partial
from itertools import cycle

import numpy as np
import pytest
import torch
from map_peers import opencv, torch_map, with_torch
from maps import classifier, features
from mask_peers import EXTERNAL, LARGEST, SHORT_STATISTICS, STATISTICS
from row import Contender, Row

import fastcam

SIZES = [(2048, 7, 224), (1024, 14, 224), (512, 14, 224), (512, 28, 224), (1024, 14, 448)]
FLOAT = torch.float32
GRID = [
    *[("PAPER", "smooth", 64, shape, FLOAT) for shape in SIZES],
    *[("PAPER", "noisy", 64, shape, FLOAT) for shape in SIZES],
    *[("PAPER", "smooth", n, (1024, 14, 224), FLOAT) for n in (1, 16, 256)],
    *[("PAPER", "smooth", 64, (1024, 14, 224), dtype) for dtype in (torch.bfloat16, torch.float16)],
    *[("AUTHORS", data, 64, (1024, 14, 224), FLOAT) for data in ("smooth", "noisy")],
]
EVERYTHING = [
    (protocol, data, n, shape, FLOAT)
    for protocol in ("PAPER", "AUTHORS")
    for data in ("smooth", "noisy")
    for n in (1, 16, 64, 256)
    for shape in SIZES
]
CASES = GRID + [pytest.param(*case, marks=pytest.mark.long) for case in EVERYTHING if case not in GRID]


def ours(protocol, weight, index, size):
    """What fastcam does with a batch, by name; PAPER's largest by pixels, and by polygon as the contours go."""
    chosen = getattr(fastcam, protocol)
    forms = {"fastcam": chosen}
    if protocol == "PAPER":
        forms["fastcam, polygon"] = chosen.replace(area="polygon")

    def run(form, batch):
        return fastcam.localize(batch, weight, index, size=(size, size), protocol=form)

    return {name: partial(run, form) for name, form in forms.items()}


def peers(protocol, weight, index, size):
    """What the tools do with a batch, by name. OpenCV knows no half precision."""
    contours = LARGEST[EXTERNAL]
    found = {
        "torch bmm + interpolate + kthvalue + findContours": lambda batch: with_torch(
            batch, weight, index, size, protocol, contours
        )
    }
    if weight.dtype != FLOAT:
        return found
    weights, labels = weight.numpy(), index.numpy()
    boxes = {"findContours": contours}
    if protocol == "PAPER":
        boxes |= {name: LARGEST[name] for name in (STATISTICS, SHORT_STATISTICS)}

    def pipeline(box, batch):
        return opencv(batch.numpy(), weights, labels, size, protocol, box)

    return found | {f"einsum + OpenCV, {name}": partial(pipeline, box) for name, box in boxes.items()}


def assert_same_boxes(ours, peers, batch, tolerance):
    """Peers round elsewhere, which moves an edge by a pixel or, rarely, parts two components."""
    found = {name: run(batch).boxes for name, run in ours.items()}
    for name, run in peers.items():
        wanted = found.get("fastcam, polygon", found["fastcam"]) if "findContours" in name else found["fastcam"]
        off = np.abs(np.array(run(batch)) - wanted.numpy()).max(axis=1)
        assert (off <= 1).mean() >= tolerance, (name, off.tolist())


@pytest.mark.parametrize(("protocol", "data", "images", "shape", "dtype"), CASES)
def test_localize(protocol, data, images, shape, dtype, measured):
    channels, side, size = shape
    batches = features(data, images, channels, side, dtype)
    weight, index = classifier(images, channels, dtype)
    mine, theirs = ours(protocol, weight, index, size), peers(protocol, weight, index, size)
    assert_same_boxes(mine, theirs, batches[0], 0.95 if dtype == FLOAT else 0.8)
    turn = cycle(batches)
    rows = weight[index].clamp(min=0)
    if protocol == "PAPER":
        every = fastcam.PAPER.replace(keep="all")
        mine["fastcam, all boxes"] = lambda batch: fastcam.localize(
            batch, weight, index, size=(size, size), protocol=every
        )
    entrants = [Contender(name, "fastcam", lambda run=run: run(next(turn))) for name, run in mine.items()]
    entrants += [Contender(name, "peer", lambda run=run: run(next(turn))) for name, run in theirs.items()]
    entrants += [
        Contender("torch bmm, map alone", "floor", lambda: torch_map(next(turn), rows)),
        Contender("reading the features", "floor", lambda: next(turn).sum()),
    ]
    kind = str(dtype).removeprefix("torch.")
    into = f"{side}x{side}x{channels} to {size}x{size}"
    measured(Row("localize", f"localize, {protocol}", data, into, images, entrants, dtype=kind, fewest_images=64))
