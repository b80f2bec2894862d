"""The builds of the core for each instruction set: alike in their results, and apart in the linker."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest
import torch
from cases import LAYOUTS, RESIZES, heat_maps, pooling_input, random_masks, smooth_maps

import fastcam
from fastcam.ops.core import core

ROOT = Path(__file__).parents[2]
BUILDS = ("baseline", "avx2", "avx512") if platform.machine() in ("x86_64", "AMD64") else ("baseline",)


@pytest.mark.skipif(not shutil.which("nm"), reason="needs nm")
@pytest.mark.parametrize("name", [name for name in BUILDS if name != "baseline"])
def test_a_build_shares_no_weak_symbol_with_the_others(name):
    # The linker keeps one copy of a weak symbol for all: were it that of the newest set, old processors would trap.
    objects = sorted(ROOT.glob(f"build/cp*/CMakeFiles/core_{name}.dir/csrc/core/core.cpp.o"), key=os.path.getmtime)
    if not objects:
        pytest.skip("needs the compiler's files, of a build in the checkout")
    built = objects[-1]
    listed = subprocess.run(["nm", "-C", "--defined-only", built], check=True, capture_output=True, text=True).stdout
    symbols = [line.split(" ", 2)[1:] for line in listed.splitlines()]
    weak = [symbol for kind, symbol in symbols if kind in "WwVvu"]
    assert weak, "the build has templates, whose instances are weak"
    # The personality is the address of a function of the C++ runtime, the same in every build.
    foreign = [s for s in weak if f"fastcam::{name}::" not in s and s != "DW.ref.__gxx_personality_v0"]
    assert foreign == []


def test_the_newest_build_is_in_use_and_the_plainest_comes_first():
    if core is None:
        pytest.skip("built without the core")
    assert core.cores()[0] == "baseline"
    assert core.core() == core.cores()[-1]


def test_an_unknown_build_is_refused():
    if core is None:
        pytest.skip("built without the core")
    before = core.core()
    with pytest.raises(ValueError, match="no build named 'mmx'"):
        core.choose_core("mmx")
    assert core.core() == before


def of_every_build(compute):
    """What compute() gives with each build, a tuple of tensors each."""
    if core is None:
        pytest.skip("built without the core")
    before = core.core()
    results = []
    try:
        for name in core.cores():
            core.choose_core(name)
            assert core.core() == name
            results.append(compute())
    finally:
        core.choose_core(before)
    return results


def assert_same_bits(results):
    for result in results[1:]:
        for a, b in zip(results[0], result, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("protocol", ["PAPER", "VANILLA", "AUTHORS", "WSOLEVAL"])
def test_boxes_do_not_depend_on_the_build(protocol):
    def compute():
        for source, size in RESIZES:
            features = torch.stack(list(heat_maps(*source).values()))[:, None]
            weight = torch.ones(len(features), 1)
            chosen = getattr(fastcam, protocol)
            found = fastcam.localize(features, weight, size=size, protocol=chosen, return_maps=True, return_masks=True)
            yield from (found.boxes, found.areas, found.thresholds, found.maps, found.masks)
            found = fastcam.localize(features, weight, size=size, protocol=chosen)
            yield from (found.boxes, found.areas, found.thresholds)

    assert_same_bits(of_every_build(lambda: tuple(compute())))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_maps_do_not_depend_on_the_build(dtype):
    features = torch.randn(3, 130, 9, 7, generator=torch.Generator().manual_seed(0)).to(dtype)
    weight = torch.randn(5, 130, generator=torch.Generator().manual_seed(1)).to(dtype)
    index = torch.tensor([[4, 0], [1, 1], [2, 3]])
    layouts = [change(features) for change in LAYOUTS.values()]
    assert_same_bits(of_every_build(lambda: tuple(fastcam.cam(x, weight, index) for x in layouts)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_pooling_does_not_depend_on_the_build(layout, dtype):
    def compute():
        for size, threshold in product([(7, 7), (14, 14), (13, 17)], [0.0, 0.1]):
            x = LAYOUTS[layout](pooling_input(*size, dtype)).requires_grad_()
            pooled = fastcam.tap(x, threshold)
            (grad,) = torch.autograd.grad(pooled, x, torch.ones_like(pooled))
            yield from (pooled.detach(), grad)

    assert_same_bits(of_every_build(lambda: tuple(compute())))


def test_regions_do_not_depend_on_the_build():
    masks = torch.stack([torch.from_numpy(mask) for mask in random_masks(224, 224, 0).values()])
    smooth = smooth_maps(8, (224, 224), seed=0) > 0.5

    def compute():
        for some in (masks, smooth):
            for area in ("pixels", "polygon"):
                found = fastcam.boxes_from_masks(some, keep="all", area=area)
                yield from (found.boxes, found.areas, found.image)

    assert_same_bits(of_every_build(lambda: tuple(compute())))
