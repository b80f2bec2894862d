"""Component trees: against SciPy's labels at every threshold, against the reference, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import SCORE_MAPS, adversarial_masks, full_score_maps
from scipy import ndimage

import fastcam
from fastcam.ops import trees as ops
from fastcam.reference.trees import nodes

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def maps_of_levels(shape, seed=0):
    """Levels (N, H, W): noise of few and of many values, smooth, with plateaus, constant."""
    rng = np.random.default_rng(seed)
    kinds = [rng.integers(0, most, shape) for most in (2, 4, 256)]
    kinds += [full_score_maps(kind, 1, seed, shape)[0] * 255 for kind in ("smooth", "rough", "one pixel")]
    kinds += [np.zeros(shape), np.full(shape, 7), mask_heights(shape)]
    return torch.from_numpy(np.stack([kind.astype(np.uint8) for kind in kinds]))


def mask_heights(shape):
    masks = list(adversarial_masks(*shape).values())
    return sum(mask.astype(int) * (i + 1) for i, mask in enumerate(masks[2:]))


def by_scipy(levels, threshold):
    """(box, pixels, peak) of each component of ``levels > threshold``, by SciPy."""
    labels, count = ndimage.label(levels > threshold, np.ones((3, 3)))
    numbers = range(1, count + 1)
    pixels = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    peaks = ndimage.maximum(levels, labels, numbers) if count else []
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labels)]
    return sorted(zip(boxes, pixels.tolist(), map(int, peaks), strict=True))


def assert_scipys(tree, maps, threshold):
    """The nodes of a tree at a threshold are the components that SciPy finds."""
    rows = tree.at(threshold)
    for i, levels in enumerate(maps.numpy()):
        own = rows[tree.image[rows] == i]
        found = zip(
            map(tuple, tree.boxes[own].tolist()), tree.areas[own].tolist(), tree.peaks[own].tolist(), strict=True
        )
        assert sorted(found) == by_scipy(levels, threshold)


@pytest.mark.parametrize("shape", [(23, 30), (1, 70), (65, 1), (17, 129)], ids=str)
def test_at_every_threshold_its_nodes_are_scipys_components(shape, instruction_set):  # noqa: ARG001
    maps = maps_of_levels(shape)
    tree = fastcam.box_tree(maps)
    for threshold in range(0, 256, 1 if shape == (23, 30) else 5):
        assert_scipys(tree, maps, threshold)


def test_each_threshold_may_be_the_maps_own():
    maps = maps_of_levels((9, 12))
    tree, limits = fastcam.box_tree(maps), torch.arange(len(maps)) * 20
    rows = tree.at(limits)
    for i, limit in enumerate(limits.tolist()):
        alone = tree.at(limit)
        assert rows[tree.image[rows] == i].tolist() == alone[tree.image[alone] == i].tolist()


@pytest.mark.parametrize("threshold", [0.5, True, torch.ones(2)])
def test_a_threshold_that_is_no_whole_number_is_refused(threshold):
    with pytest.raises(TypeError, match="threshold must be whole numbers, got"):
        fastcam.box_tree(torch.eye(3)).at(threshold)


def as_records(columns):
    """Nodes with all that is known of their parents, in an order of their own."""
    boxes, areas, peaks, births, _, parents, image = (np.asarray(column) for column in columns)
    own = [
        (int(image[k]), int(births[k]), *boxes[k].astype(int).tolist(), int(areas[k]), int(peaks[k]))
        for k in range(len(boxes))
    ]
    return sorted((one, own[parent] if parent >= 0 else ()) for one, parent in zip(own, parents.tolist(), strict=True))


def test_the_core_and_the_reference_find_the_same_nodes(monkeypatch, instruction_set):  # noqa: ARG001
    maps = maps_of_levels((11, 14), 1)
    found = ops.box_trees(maps)
    monkeypatch.setattr(ops, "core", None)
    wanted = ops.box_trees(maps)
    assert as_records(found) == as_records(wanted)
    for columns in (found, wanted):
        births, deaths, parents, image = columns[3:]
        inner = np.flatnonzero(parents >= 0)
        assert (parents[inner] > inner).all()
        assert (deaths[inner] == births[parents[inner]]).all()
        assert (deaths[parents < 0] == 0).all()
        assert (deaths < births).all()
        assert (image[parents[inner]] == image[inner]).all()
        assert (np.diff(births)[np.diff(image) == 0] <= 0).all()


def test_a_tree_worked_out_by_hand():
    levels = np.array([[9, 9, 0, 3, 3], [0, 0, 0, 3, 5], [2, 2, 2, 2, 2]], np.uint8)
    found = [(n.x0, n.y0, n.x1, n.y1, n.pixels, n.peak, n.level, n.parent) for n in nodes(levels)]
    assert found == [
        (0, 0, 2, 1, 2, 9, 9, -1),
        (4, 1, 5, 2, 1, 5, 5, 2),
        (3, 0, 5, 2, 4, 5, 3, 3),
        (0, 0, 5, 3, 9, 5, 2, -1),
    ]
    tree = fastcam.box_tree(levels)
    assert tree.lifetimes.sum() == sum(len(tree.at(t)) for t in range(256))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_maps_of_numbers_are_cut_into_levels(dtype):
    maps = torch.from_numpy(full_score_maps("rough", 3, 0, (20, 22))).to(dtype)
    wide = maps.to(torch.float64 if dtype == torch.float64 else torch.float32).double()
    low, high = wide.amin((1, 2), keepdim=True), wide.amax((1, 2), keepdim=True)
    levels = ((wide - low) / (high - low) * 255).to(torch.uint8)
    found, wanted = fastcam.box_tree(maps), fastcam.box_tree(levels)
    for name in ("boxes", "areas", "peaks", "births", "deaths", "parents", "image"):
        assert torch.equal(getattr(found, name), getattr(wanted, name))
    assert len(fastcam.box_tree(torch.full((2, 3, 3), torch.nan))) == 0
    assert len(fastcam.box_tree(torch.ones(0, 3, 3))) == 0


def test_threads_change_nothing(restored_threads):  # noqa: ARG001
    maps = torch.cat([maps_of_levels((64, 65), seed) for seed in range(3)])
    torch.set_num_threads(1)
    wanted = ops.box_trees(maps)
    torch.set_num_threads(4)
    for part, expected in zip(ops.box_trees(maps), wanted, strict=True):
        assert np.array_equal(part, expected)


@pytest.mark.parametrize(
    ("maps", "error", "message"),
    [
        (torch.ones(3), ValueError, r"maps must be \(N, h, w\).* got shape \(3,\)"),
        (torch.ones(2, 2, dtype=torch.int64), TypeError, "maps must be floating point or uint8, got torch.int64"),
        (torch.ones(1, 1, 70_000), ValueError, "at most 65535 pixels a side"),
        ("map", TypeError, "maps must be a tensor, an array"),
    ],
)
def test_what_is_refused(maps, error, message):
    with pytest.raises(error, match=message):
        fastcam.box_tree(maps)


@pytest.mark.long
@pytest.mark.parametrize("kind", SCORE_MAPS)
def test_score_maps_of_the_size_of_a_photograph(kind):
    maps = torch.from_numpy((full_score_maps(kind, 4, 0) * 255).astype(np.uint8))
    tree = fastcam.box_tree(maps)
    for threshold in range(0, 255, 15):
        assert_scipys(tree, maps, threshold)
