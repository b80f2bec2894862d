"""The operators that find all boxes: against the reference, whatever finds them, and as PyTorch wants operators."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import adversarial_masks, broken_maps, heat_maps, random_masks, smooth_maps

import fastcam
from fastcam import AUTHORS, PAPER, WSOLEVAL
from fastcam.ops import objects as ops
from fastcam.ops.objects import localize_all, locate_all
from fastcam.reference import masks, objects

pytestmark = pytest.mark.usefixtures("poisoned_memory")

NAMED = {"PAPER": PAPER, "AUTHORS": AUTHORS, "WSOLEVAL": WSOLEVAL}
MEAN = 3e-7  # the order of a float32 mean's summation


def every_map(height, width, seed=0):
    return torch.stack(list((heat_maps(height, width, seed) | broken_maps(height, width)).values()))


def by_reference(maps, size, protocol):
    """Boxes, areas, scores and numbers, by the reference alone."""
    full, thresholds, kept = masks.kept(maps, size, protocol)
    pairs = zip(full.numpy(), kept.numpy(), strict=True)
    every = [(i, one) for i, pair in enumerate(pairs) for one in objects.objects(*pair, protocol.connectivity)]
    areas = np.array([getattr(one.component, protocol.area) for _, one in every], float)
    scores = np.array([getattr(one, protocol.scores) for _, one in every], thresholds.numpy().dtype)
    numbers = np.array([i for i, _ in every], int)
    rows = objects.chosen(areas, scores, numbers, protocol)
    ends = (size[1] - 1, size[0] - 1) if protocol.box_end == "clipped" else (size[1], size[0])
    found = [every[row][1].component for row in rows]
    boxes = [[c.x0, c.y0, min(c.x1, ends[0]), min(c.y1, ends[1])] for c in found]
    return boxes, areas[rows], scores[rows], numbers[rows], thresholds, full, kept


def assert_same(found, wanted, protocol):
    assert found[0].tolist() == wanted[0]
    for part, expected in zip(found[1:4], wanted[1:4], strict=True):
        rtol = MEAN if part is found[2] and protocol.scores == "mean" else 0
        np.testing.assert_allclose(part.numpy(), expected, rtol=rtol, atol=0)
    for part, expected in zip(found[4:], wanted[4:], strict=True):
        torch.testing.assert_close(part, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("scores", ["peak", "mean"])
@pytest.mark.parametrize("size", [(40, 70), (9, 5), (1, 1)], ids=str)
@pytest.mark.parametrize("name", NAMED)
def test_as_the_reference(name, size, scores, instruction_set):  # noqa: ARG001
    maps = every_map(9, 5)
    for connectivity in (4, 8):
        protocol = NAMED[name].replace(keep="all", scores=scores, connectivity=connectivity)
        assert_same(locate_all(maps, *size, *protocol.values, True, True), by_reference(maps, size, protocol), protocol)


@pytest.mark.parametrize("kind", [adversarial_masks, random_masks])
@pytest.mark.parametrize("shape", [(9, 63), (9, 129), (1, 200), (200, 1), (40, 33)], ids=str)
def test_masks_that_break_labelling(shape, kind, instruction_set):  # noqa: ARG001
    arguments = (*shape, 0) if kind is random_masks else shape
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(1)) + 1
    maps = torch.from_numpy(np.stack(list(kind(*arguments).values()))) * noise
    for connectivity in (4, 8):
        protocol = PAPER.replace(keep="all", scores="mean", connectivity=connectivity, threshold=0.0)
        for of_width in (maps, maps.double()):
            found = locate_all(of_width, *shape, *protocol.values, True, True)
            assert_same(found, by_reference(of_width, shape, protocol), protocol)


def test_without_the_core_it_is_the_same(monkeypatch):
    maps, protocol = every_map(7, 8), AUTHORS.replace(keep="all", scores="mean")
    wanted = locate_all(maps, 20, 31, *protocol.values, True, True)
    features, weight = torch.rand(3, 4, 5, 6), torch.randn(3, 4)
    fused = localize_all(features, weight, None, 20, 31, *protocol.values, True, True)
    monkeypatch.setattr(ops, "core", None)
    assert_same(
        locate_all(maps, 20, 31, *protocol.values, True, True),
        (wanted[0].tolist(), *map(np.asarray, wanted[1:4]), *wanted[4:]),
        protocol,
    )
    plain = localize_all(features, weight, None, 20, 31, *protocol.values, True, True)
    assert_same(plain, (fused[0].tolist(), *map(np.asarray, fused[1:4]), *fused[4:]), protocol)


def test_the_number_of_threads_and_of_maps_changes_nothing(restored_threads):  # noqa: ARG001
    maps = torch.cat([every_map(14, 14, seed) for seed in range(4)])
    protocol = PAPER.replace(keep="all", scores="mean")
    torch.set_num_threads(1)
    wanted = locate_all(maps, 96, 96, *protocol.values, True, True)
    alone = [locate_all(maps[i : i + 1], 96, 96, *protocol.values, False, False) for i in range(len(maps))]
    for part in (0, 1, 2, 4):
        joined = torch.cat([one[part] for one in alone])
        torch.testing.assert_close(joined, wanted[part], rtol=0, atol=0, equal_nan=True)
    for threads in (2, 5):
        torch.set_num_threads(threads)
        found = locate_all(maps, 96, 96, *protocol.values, True, True)
        for part, expected in zip(found, wanted, strict=True):
            torch.testing.assert_close(part, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("index", [None, [3, 0, 9], [[1, 2], [0, 0], [9, 8]]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_operators_keep_what_they_promised_pytorch(dtype, index):
    random = torch.Generator().manual_seed(3)
    features, weight = (
        torch.randn(3, 6, 9, 7, generator=random).to(dtype),
        torch.randn(10, 6, generator=random).to(dtype),
    )
    rows = None if index is None else torch.tensor(index)
    weight = weight[:3] if rows is None else weight
    values = PAPER.replace(keep="all", max_boxes=2).values
    torch.library.opcheck(localize_all, (features, weight, rows, 18, 9, *values, True, False))
    torch.library.opcheck(locate_all, (features[:, 0], 18, 9, *values, False, True))


class Finder(torch.nn.Module):
    def forward(self, features, weight, index):
        found = fastcam.localize(features, weight, index, size=(30, 40), protocol=PAPER.replace(keep="all"))
        return found.boxes, found.areas, found.scores, found.labels, found.image, found.thresholds


def example(seed, images=3):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(images, 6, 9, 7, generator=random), torch.randn(10, 6, generator=random), torch.arange(images)


def test_an_exported_program_finds_as_many_boxes_as_there_are():
    program = torch.export.export(Finder(), example(0))
    for seed in (1, 2):
        for part, wanted in zip(program.module()(*example(seed)), Finder()(*example(seed)), strict=True):
            assert torch.equal(part, wanted)


def test_compiled_whole():
    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        compiled = torch.compile(Finder(), fullgraph=True, backend="aot_eager")
        for seed in (1, 2):
            for part, wanted in zip(compiled(*example(seed)), Finder()(*example(seed)), strict=True):
                assert torch.equal(part, wanted)


def test_a_map_of_many_components_is_found_whole():
    maps = (torch.rand(2, 300, 301, generator=torch.Generator().manual_seed(0)) < 0.2).float()
    protocol = PAPER.replace(keep="all", percentile=100, connectivity=4)
    found = locate_all(maps, 300, 301, *protocol.values, False, False)
    boxes = fastcam.boxes_from_masks(maps > 0, keep="all", connectivity=4)
    assert len(found[0]) == len(boxes.boxes) > 10_000
    assert sorted(map(tuple, found[0].tolist())) == sorted(map(tuple, boxes.boxes.tolist()))
    assert found[1].sum() == maps.sum()


def test_meta_tensors_are_refused_by_name():
    options = (3, 3, *PAPER.values, False, False)
    with pytest.raises(TypeError, match=r"maps must hold values, .* got a meta tensor"):
        locate_all(torch.ones(1, 3, 3, device="meta"), *options)
    with pytest.raises(TypeError, match=r"features must hold values, .* got a meta tensor"):
        localize_all(torch.ones(1, 2, 3, 3, device="meta"), torch.ones(1, 2, device="meta"), None, *options)


def test_smooth_maps_from_features_are_those_of_their_maps():
    maps = smooth_maps(6, (14, 14), 0)
    features, weight = maps[:, None], torch.ones(6, 1)
    values = PAPER.replace(keep="all").values
    for part, wanted in zip(
        localize_all(features, weight, None, 224, 224, *values, True, True),
        locate_all(maps, 224, 224, *values, True, True),
        strict=True,
    ):
        assert torch.equal(part, wanted)
