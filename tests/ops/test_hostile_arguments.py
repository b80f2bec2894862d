"""Operators called directly with arguments that do not fit: they refuse, by name, and the process goes on.

The calls are made in another process, for a crash would end this one: see hostile_calls.py.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from fastcam import PAPER
from fastcam.ops.components import all_components
from fastcam.ops.core import core
from fastcam.ops.masks import pack
from fastcam.ops.score_maps import score_histogram, score_levels
from fastcam.ops.sweep import sweep_levels

CALLS = Path(__file__).with_name("hostile_calls.py")
PATIENCE = 550  # seconds for a run


def tally(seed, count, build):
    """What came of the calls; a crash, or a hang, fails with the call that led to it."""
    command = [sys.executable, CALLS, str(seed), str(count), build]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"a hang at {(error.stdout or b'').decode().splitlines()[-1:]}")
    lines = run.stdout.splitlines()
    assert lines[-1:] == ["end"], f"ended with {run.returncode} after {lines[-3:]}: {run.stderr[-2000:]}"
    unnamed = [pair for pair in pairwise(lines) if pair[1].startswith("unnamed")]
    # What the dispatcher refuses, it says itself: a kind of tensor that no operator takes, or no memory.
    foreign = ("Could not run 'fastcam::", "not enough memory", "Overflow", "overflow")
    assert [pair for pair in unnamed if not any(word in pair[1] for word in foreign)] == []
    return Counter(line.split(" ")[0] for line in lines if not line[0].isdigit())


def test_a_thousand_hostile_calls():
    outcomes = tally(0, 1000, "-")
    assert outcomes["refused"] > 500
    assert outcomes["done"] > 50


@pytest.mark.long
@pytest.mark.parametrize("build", core.cores() if core is not None else ["-"])
@pytest.mark.parametrize("seed", range(1, 4))
def test_ten_thousand_hostile_calls(seed, build):
    print(build, tally(seed, 10_000, build))  # noqa: T201


OPS = torch.ops.fastcam
V = PAPER.values
FEATURES, WEIGHT, MAPS = torch.rand(2, 4, 3, 5), torch.rand(6, 4), torch.rand(2, 3, 5)
INDEX = torch.tensor([0, 5])
PLAIN = torch.ones(2, 3, 70, dtype=torch.uint8)
PACKED = pack(PLAIN)
LEVELS, BOXES, ENDS = PLAIN, torch.ones(3, 4, dtype=torch.float64), torch.tensor([1, 3])
EDGES = torch.tensor([0, 0.25, 0.5, 0.75, 1, 2, 3]).double()


def with_field(name, value):
    return tuple(value if field == name else old for field, old in zip(PAPER.__dataclass_fields__, V, strict=True))


def localized(*changes, size=(6, 7), values=V):
    given = {"features": FEATURES, "weight": WEIGHT, "index": INDEX} | dict(changes)
    return OPS.localize(*given.values(), *size, *values, False, False)


REFUSED = {
    "a width beyond the packed words": (lambda: OPS.largest(PACKED, 129, "pixels", 8), "masks must be rows of 3 words"),
    "a width beyond the bytes": (lambda: OPS.largest(PLAIN, 71, "pixels", 8), "masks must be rows of 71 bytes"),
    "a width below the bytes": (lambda: all_components(PLAIN, 69, "pixels", 8), "masks must be rows of 69 bytes"),
    "a negative width": (lambda: OPS.largest(PACKED, -1, "pixels", 8), "masks must .* width -1"),
    "a width of 0": (lambda: OPS.largest(PACKED[..., :0], 0, "pixels", 8), "masks must .* width 0"),
    "no rows": (lambda: OPS.largest(PACKED[:, :0], 70, "pixels", 8), "masks must .* height 0"),
    "a connectivity of 6": (lambda: OPS.largest(PACKED, 70, "pixels", 6), "connectivity must be one of 4, 8, got 6"),
    "an area that is none": (lambda: OPS.largest(PACKED, 70, "area", 8), "area must be one of 'pixels', 'polygon'"),
    "masks without values": (lambda: all_components(PLAIN.to("meta"), 70, "pixels", 8), "masks must hold values"),
    "masks of float": (lambda: OPS.largest(PLAIN.float(), 70, "pixels", 8), "masks must be bool, uint8, or int64"),
    "an index longer than the batch": (lambda: localized(("index", INDEX.repeat(9))), "index must be .* 2 images"),
    "an index of int32": (lambda: localized(("index", INDEX.int())), "index must be int64, got torch.int32"),
    "more rows than images": (lambda: localized(("index", None)), "weight without index must be"),
    "weights of other channels": (lambda: localized(("weight", WEIGHT[:, :3])), "weight must be .* C=4"),
    "features of integers": (lambda: localized(("features", FEATURES.long())), "features must be float16"),
    "a height of 0": (lambda: localized(size=(0, 7)), "height and width must be each at least 1"),
    "a width beyond 2^24": (lambda: localized(size=(1, 2**24 + 1)), r"height and width must .* 2\^24"),
    "too many pixels": (lambda: localized(size=(2**20, 2**20)), r"height and width must .* 2\^30 pixels"),
    "a size beyond an int": (lambda: localized(size=(2**40, 1)), "height and width must"),
    "maps of no height": (lambda: OPS.locate(MAPS[:, :0], 4, 4, *V, False, False), "maps must be"),
    "maps of four dimensions": (lambda: OPS.binarize(MAPS[None], 4, 4, *V, False), "maps must be"),
    "complex maps": (lambda: OPS.locate(MAPS.to(torch.complex64), 4, 4, *V, False, False), "maps must be of real"),
    "masks larger than maps": (lambda: score_histogram(MAPS, PLAIN, EDGES, False), "maps must be of the size"),
    "fewer masks than maps": (lambda: score_histogram(MAPS, PLAIN[:1], EDGES, True), "masks must be"),
    "edges that are short": (lambda: score_histogram(MAPS, PLAIN, EDGES[-3:], True), "edges must be"),
    "edges that fall": (lambda: score_histogram(MAPS, PLAIN, EDGES.flip(0), True), "edges must be"),
    "edges of float32": (lambda: score_histogram(MAPS, PLAIN, EDGES.float(), True), "edges must be float64"),
    "edges with a NaN": (lambda: score_histogram(MAPS, PLAIN, EDGES * torch.nan, True), "edges must be"),
    "edges that are too dense": (
        lambda: score_histogram(MAPS, PLAIN, torch.tensor([0, 1e-9, 2e-9, 1, 2, 3]).double(), True),
        "edges must be",
    ),
    "levels of another size": (lambda: score_levels(MAPS, 3, 6, False), "maps must be of the size"),
    "ends beyond the boxes": (lambda: sweep_levels(LEVELS, BOXES, ENDS + 9, True, True), "ends must rise"),
    "negative ends": (lambda: sweep_levels(LEVELS, BOXES, ENDS - 2, True, True), "ends must rise"),
    "ends that fall": (lambda: sweep_levels(LEVELS, BOXES, ENDS.flip(0), True, True), "ends must rise"),
    "ends of other images": (lambda: sweep_levels(LEVELS, BOXES, ENDS[:1], True, True), "ends must be"),
    "boxes of float32": (lambda: sweep_levels(LEVELS, BOXES.float(), ENDS, True, True), "boxes must be float64"),
    "levels of a long side": (
        lambda: sweep_levels(torch.zeros(1, 1, 2**16, dtype=torch.uint8), BOXES, ENDS[:1], True, True),
        "levels must be .* 65535 pixels a side",
    ),
    **{
        f"{name} of {value}": (lambda name=name, value=value: localized(values=with_field(name, value)), f"{name} must")
        for name, values in {
            "percentile": (-1e9, math.nan, math.inf, -math.inf, 100.5),
            "threshold": (math.nan, -0.1, math.inf, 1.5),
            "interpolation": ("nearest", ""),
            "normalize": ("min", ""),
            "area": ("areas",),
            "box_end": ("open",),
            "empty": ("nothing",),
            "iou": ("giou",),
            "connectivity": (0, 6, -8),
        }.items()
        for value in values
    },
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_by_name(name):
    call, message = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.parametrize("name", REFUSED)
def test_the_fake_kernels_refuse_what_shapes_tell(name):
    if name in ("edges that fall", "edges with a NaN", "edges that are too dense") or "ends" in name.split():
        pytest.skip("not told by shapes")
    if name in ("a width below the bytes", "masks without values"):
        pytest.skip("a function, not an operator")
    call, message = REFUSED[name]
    with FakeTensorMode(allow_non_fake_inputs=True), pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.skipif(core is None, reason="plain PyTorch reads it")
@pytest.mark.parametrize("name", ["features", "weight"])
def test_freed_memory_is_refused(name):
    freed = {"features": FEATURES, "weight": WEIGHT}[name].clone()
    freed.untyped_storage().resize_(0)
    with pytest.raises(ValueError, match=f"{name} must have its memory"):
        localized((name, freed))
