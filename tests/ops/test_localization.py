"""The operator from maps to boxes against the reference, bit for bit."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from by_reference import located
from cases import PERCENTILES, RESIZES, broken_maps, heat_maps, score_map, smooth_maps, varied
from hypothesis import given
from hypothesis import strategies as st

import fastcam
from fastcam import AUTHORS, PAPER, WSOLEVAL
from fastcam.ops.activation import cam
from fastcam.ops.localization import localize, locate
from fastcam.reference import masks as reference

pytestmark = pytest.mark.usefixtures("poisoned_memory")

INTERPOLATIONS = ("bilinear", "bicubic")
NORMALIZATIONS = ("none", "minmax", "max", "percentile")
PROTOCOLS = [PAPER, AUTHORS, WSOLEVAL]
NAMES = ["PAPER", "AUTHORS", "WSOLEVAL"]


def assert_same_bits(found, wanted):
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


def assert_locates_as_reference(maps, size, protocol, wanted=None):
    wanted = located(maps, size, protocol) if wanted is None else wanted
    assert_same_bits(locate(maps, *size, *protocol.values, True, True), wanted)
    # Without the maps a faster path need not make them, and must not find anything else.
    found = locate(maps, *size, *protocol.values, False, False)
    assert_same_bits(found[:3], wanted[:3])
    assert [len(part) for part in found[3:]] == [0, 0]


def stacked(maps):
    return torch.stack(list(maps.values()))


@cache  # the same for every instruction set
def example(source, seed, size, protocol):
    maps = stacked(heat_maps(*source, seed))
    return maps, size, protocol, located(maps, size, protocol)


@pytest.mark.parametrize(("source", "size"), RESIZES, ids=str)
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=NAMES)
def test_maps_of_many_kinds(protocol, source, size, instruction_set):  # noqa: ARG001
    assert_locates_as_reference(*example(source, 0, size, protocol))


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=NAMES)
def test_the_score_maps_at_the_size_of_a_photograph(protocol, instruction_set):  # noqa: ARG001
    for names in ("AB", "CD"):
        assert_locates_as_reference(torch.stack([score_map(name) for name in names]), (224, 224), protocol)


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("quantize", [False, True])
def test_broken_maps(quantize, interpolation, normalize, instruction_set):  # noqa: ARG001
    for size in ((5, 6), (17, 23), (3, 70)):
        for q, threshold in product((80.0, 95.0, 100.0), (0.0, 0.35)):
            protocol = PAPER.replace(
                interpolation=interpolation, normalize=normalize, quantize=quantize, percentile=q, threshold=threshold
            )
            assert_locates_as_reference(stacked(broken_maps(5, 6)), size, protocol)


@pytest.mark.parametrize("q", PERCENTILES)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_percentiles(interpolation, q, instruction_set):  # noqa: ARG001
    for seed, (source, size) in enumerate((((14, 14), (42, 70)), ((7, 7), (33, 64)), ((3, 4), (100, 5)))):
        for threshold in (0.0, 0.2, 1.0):
            protocol = PAPER.replace(interpolation=interpolation, percentile=q, threshold=threshold)
            assert_locates_as_reference(*example(source, seed, size, protocol))


@pytest.mark.parametrize("q", [85, 87.5, 90])  # of five values: 3.4, 3.5 (where the formula turns round) and 3.6
def test_percentiles_between_values_far_apart_are_numpys(q, instruction_set):  # noqa: ARG001
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(500, 1, 5, generator=generator) * 10 ** (8 * torch.rand(500, 1, 5, generator=generator))
    thresholds = locate(maps, 1, 5, *PAPER.replace(percentile=q, threshold=1).values, False, False)[2]
    assert thresholds.tolist() == [np.percentile(one, q).item() for one in maps.numpy()]


@pytest.mark.parametrize("sign", [-1, 1])
def test_maps_whose_rows_differ_mislead_no_estimate(sign, instruction_set):  # noqa: ARG001
    # A few rows or columns of such a map say nothing about the others.
    noise = torch.randn(16, 224, 224, generator=torch.Generator().manual_seed(0))
    line = torch.arange(224)
    for i, period in enumerate((2, 3, 5, 7, 8, 14, 16, 28)):
        noise[i, line % period == period // 2] += 10 * sign
        noise[8 + i, :, line % period == period // 2] += 10 * sign
    for q in (80.0, 90.0, 97.0, 99.9):
        protocol = PAPER.replace(percentile=q, threshold=1)
        *_, thresholds, _, masks = locate(noise, 224, 224, *protocol.values, False, True)
        assert thresholds.tolist() == [np.percentile(one, q).item() for one in noise.numpy()]
        assert torch.equal(masks, noise > thresholds[:, None, None])


def test_every_combination_of_options(instruction_set):  # noqa: ARG001
    kinds = {**heat_maps(4, 5), **broken_maps(4, 5)}
    maps = torch.stack([kinds[name] for name in ("smooth", "noise", "rectified", "nan", "infinity")])
    fields = {
        "interpolation": INTERPOLATIONS,
        "normalize": NORMALIZATIONS,
        "quantize": (False, True),
        "percentile": (90, 100),
        "area": ("pixels", "polygon"),
        "connectivity": (4, 8),
        "box_end": ("exclusive", "clipped"),
        "empty": ("zeros", "image"),
    }
    for values in product(*fields.values()):
        protocol = PAPER.replace(**dict(zip(fields, values, strict=True)))
        assert_locates_as_reference(maps, (9, 11), protocol)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.uint8])
def test_maps_of_any_width_are_worked_on_in_float32_and_those_of_float64_in_float64(dtype):
    maps = (stacked(heat_maps(6, 7)).clamp(0, 2) * 100).to(dtype)
    for protocol in PROTOCOLS:
        assert_locates_as_reference(maps, (20, 31), protocol)
    wide = locate(maps, 20, 31, *PAPER.values, True, True)[2:4]
    assert {part.dtype for part in wide} == {torch.float64 if dtype == torch.float64 else torch.float32}


@pytest.mark.parametrize(
    "change", [lambda m: m.transpose(1, 2), lambda m: m[::2, :, 1:], lambda m: m[:1].expand(3, 6, 6)]
)
def test_maps_in_any_layout(change):
    assert_locates_as_reference(change(stacked(heat_maps(6, 6))), (13, 9), PAPER)


def test_no_maps():
    assert_locates_as_reference(torch.ones(0, 3, 4), (8, 9), AUTHORS)


@pytest.mark.parametrize("protocol", PROTOCOLS[:2], ids=NAMES[:2])
def test_the_number_of_threads_and_of_maps_changes_nothing(protocol, restored_threads):  # noqa: ARG001
    maps = torch.cat([stacked(heat_maps(14, 14, seed)) for seed in range(6)])
    torch.set_num_threads(1)
    wanted = locate(maps, 96, 96, *protocol.values, True, True)
    alone = [locate(maps[i : i + 1], 96, 96, *protocol.values, True, True) for i in range(len(maps))]
    assert_same_bits([torch.cat(parts) for parts in zip(*alone, strict=True)], wanted)
    for threads in (2, 5):
        torch.set_num_threads(threads)
        assert_same_bits(locate(maps, 96, 96, *protocol.values, True, True), wanted)
        assert_same_bits(locate(maps, 96, 96, *protocol.values, False, False)[:3], wanted[:3])


@pytest.mark.parametrize("with_maps", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS[:2], ids=NAMES[:2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_operator_keeps_what_it_promised_pytorch(dtype, protocol, with_maps):
    maps = stacked(heat_maps(4, 5)).to(dtype)
    torch.library.opcheck(locate, (maps, 8, 9, *protocol.values, with_maps, not with_maps))
    # Maps that need no resizing must not come back as an alias of the input.
    torch.library.opcheck(locate, (maps, 4, 5, *protocol.values, with_maps, not with_maps))


def class_features(dtype, images=5):
    """Features (N, 6, 9, 7), weights (10, 6)."""
    random = torch.Generator().manual_seed(3)
    return torch.randn(images, 6, 9, 7, generator=random).to(dtype), torch.randn(10, 6, generator=random).to(dtype)


INDICES = {
    "a class each": torch.tensor([3, 0, 9, 9, 1]),
    "several": torch.tensor([[1, 2, 2], [0, 0, 0], [9, 8, 7], [4, 4, 5], [6, 3, 1]]),
    "one that does not exist": torch.tensor([3, 10, -1, 2, 0]),
    "none": None,
}
LAYOUTS = {
    "contiguous": lambda x: x,
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "every other": lambda x: x.repeat_interleave(2, dim=0)[::2],
    "one image": lambda x: x[:1].expand_as(x),
}


@pytest.mark.parametrize("protocol", PROTOCOLS[:2], ids=NAMES[:2])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("index", INDICES)
def test_from_features_as_map_by_map(index, dtype, layout, protocol):
    features, weight = class_features(dtype)
    features, rows = LAYOUTS[layout](features), INDICES[index]
    weight = weight if rows is not None else weight[: len(features)]
    for clamp in (False, True):
        maps = cam(features, weight, rows, clamp).flatten(0, -3)
        values = protocol.replace(clamp_negative=clamp).values
        wanted = locate(maps, 45, 63, *values, True, True)
        assert_same_bits(localize(features, weight, rows, 45, 63, *values, True, True), wanted)


@pytest.mark.parametrize("index", ["a class each", "several", "none"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_operator_from_features_keeps_what_it_promised_pytorch(dtype, index):
    features, weight = class_features(dtype)
    rows = INDICES[index]
    weight = weight if rows is not None else weight[: len(features)]
    torch.library.opcheck(localize, (features, weight, rows, 18, 9, *PAPER.values, True, False))


def photograph_maps(seed):
    """Maps as networks give them, and worse: smooth, rectified, peaked, noisy, with few values; (64, h, w)."""
    side = (7, 10, 14, 28)[seed % 4]
    noise = torch.randn(64, side, side, generator=torch.Generator().manual_seed(seed))
    smooth = smooth_maps(64, (side, side), seed, source=3 + seed % 5)
    kinds = (
        noise,
        smooth,
        (smooth - 0.6).relu(),
        smooth**8,
        (smooth * 6).round(),
        smooth + noise / 10,
        -smooth,
        noise * 1e3,
    )
    return kinds[seed % 8]


@pytest.mark.long
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=NAMES)
def test_thousands_of_maps_at_the_size_of_a_photograph(protocol):
    compared = 0
    for seed in range(48):
        maps, chosen = photograph_maps(seed), protocol.replace(percentile=PERCENTILES[seed % 6])
        full, masks = locate(maps, 224, 224, *chosen.values, True, True)[3:]
        wanted = reference.kept(maps, (224, 224), chosen)
        found = locate(maps, 224, 224, *chosen.values, False, False)
        assert_same_bits((full, found[2], masks), wanted)
        boxes = fastcam.boxes_from_masks(wanted[2], area=protocol.area)
        kept = boxes.areas > 0 if protocol.area == "pixels" else wanted[2].flatten(1).any(1)
        limit = torch.tensor([224, 224, 223, 223] if protocol.box_end == "clipped" else [224] * 4)
        empty = torch.tensor([0, 0, 224, 224] if protocol.empty == "image" else [0] * 4)
        assert torch.equal(found[0], torch.where(kept[:, None], boxes.boxes.minimum(limit), empty))
        assert torch.equal(found[1], boxes.areas)
        compared += len(maps)
    print(f"\n{compared} maps of 224x224: map, threshold, mask, box and area, bit for bit")  # noqa: T201


special = st.sampled_from([torch.nan, torch.inf, -torch.inf, -0.0, 0.0, 1.0, 1e-40, 3e38])


@given(
    source=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 80)),
    values=st.lists(special | st.floats(-4, 4, width=32), min_size=1, max_size=20),
    interpolation=st.sampled_from(INTERPOLATIONS),
    normalize=st.sampled_from(NORMALIZATIONS),
    quantize=st.booleans(),
    q=st.floats(80, 100) | st.integers(80, 100).map(float) | st.just(0.0),
    threshold=st.floats(0, 1),
    area=st.sampled_from(["pixels", "polygon"]),
)
def test_any_map_size_and_threshold(source, size, values, interpolation, normalize, quantize, q, threshold, area):
    count = 2 * source[0] * source[1]
    maps = torch.tensor((values * count)[:count], dtype=torch.float32).reshape(2, *source)
    fields = {"interpolation": interpolation, "normalize": normalize, "quantize": quantize, "area": area}
    assert_locates_as_reference(maps, size, varied(PAPER, **fields, percentile=q, threshold=threshold))
