"""Connected components on packed bits, against the reference, and against OpenCV at full size."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import adversarial_masks, mask_shapes, random_masks, smooth_maps
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import fastcam
from fastcam.reference.components import components, largest

SHAPES = list(mask_shapes())
AREAS = ("pixels", "polygon")
OPTIONS = list(product(AREAS, (4, 8)))


def of_reference(masks, connectivity):
    """The components of every mask; where there are none, there is no largest one."""
    found = [components(mask, connectivity) for mask in masks]
    best = [{area: largest(mask, area, connectivity) for area in AREAS} for mask in masks]
    return masks, connectivity, found, best


def assert_regions(masks, connectivity, found, best):
    for area in AREAS:
        one = fastcam.boxes_from_masks(masks, area=area, connectivity=connectivity)
        rows = [(c.x0, c.y0, c.x1, c.y1, getattr(c, area)) if c else (0, 0, 0, 0, 0) for c in (b[area] for b in best)]
        assert [(*box, size) for box, size in zip(one.boxes.tolist(), one.areas.tolist(), strict=True)] == rows
        every = fastcam.boxes_from_masks(masks, keep="all", area=area, connectivity=connectivity)
        numbered = [(i, c) for i, of_mask in enumerate(found) for c in of_mask]
        assert every.boxes.tolist() == [[c.x0, c.y0, c.x1, c.y1] for _, c in numbered]
        assert every.areas.tolist() == [getattr(c, area) for _, c in numbered]
        assert every.image.tolist() == [i for i, _ in numbered]


@cache  # the same for every instruction set
def adversarial(shape, connectivity):
    return of_reference(np.stack(list(adversarial_masks(*shape).values())), connectivity)


@cache
def random(shape, connectivity):
    return of_reference(np.stack(list(random_masks(*shape, 0).values())), connectivity)


@pytest.mark.parametrize("kind", [adversarial, random])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.usefixtures("poisoned_memory")
def test_regions_are_those_of_the_reference(kind, shape, connectivity, instruction_set):  # noqa: ARG001
    assert_regions(*kind(shape, connectivity))


@given(npst.arrays(bool, npst.array_shapes(min_dims=3, max_dims=3, max_side=9)), st.sampled_from([4, 8]))
def test_regions_of_any_small_mask(masks, connectivity):
    assert_regions(*of_reference(masks, connectivity))


@pytest.mark.parametrize("connectivity", [4, 8])
def test_every_mask_of_three_by_four(connectivity):
    masks = ((np.arange(1 << 12)[:, None] >> np.arange(12)) & 1).astype(bool).reshape(-1, 3, 4)
    assert_regions(*of_reference(masks, connectivity))


def test_of_equal_components_in_dense_rows_the_first_pixel_decides():
    # A hook around the first one, whose left end comes a row later, and a third one further down: 28 pixels each.
    mask = np.zeros((16, 64), bool)
    mask[1:4, 0] = mask[4, :21] = mask[:4, 20] = True
    mask[:2, 4:18] = True
    mask[12:14, 30:44] = True
    mask[8, ::2] = True  # many runs, as noise has them
    found = fastcam.boxes_from_masks(mask)
    assert (found.boxes.tolist(), found.areas.tolist()) == ([[4, 0, 18, 2]], [28])
    assert_regions(*of_reference(mask[None], 8))


@pytest.mark.parametrize("connectivity", [4, 8])
def test_the_labels_that_scipy_ships(connectivity):
    spec = find_spec("scipy")
    data = Path(spec.origin).parent / "ndimage/tests/data" if spec else Path("absent")
    if not data.is_dir():
        pytest.skip("this scipy comes without its test data")
    inputs, structures, results = (
        np.loadtxt(data / f"label_{name}.txt").reshape(-1, side, side)
        for name, side in (("inputs", 7), ("strels", 3), ("results", 7))
    )
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    wanted = np.ones((3, 3)) if connectivity == 8 else cross
    (which,) = np.flatnonzero((structures == wanted).all((1, 2)))
    for mask, labels in zip(inputs != 0, results[which :: len(structures)], strict=True):
        boxes = set()
        for label in range(1, int(labels.max()) + 1):
            y, x = np.nonzero(labels == label)
            boxes.add((x.min(), y.min(), x.max() + 1, y.max() + 1, len(y)))
        found = fastcam.boxes_from_masks(mask, keep="all", connectivity=connectivity)
        assert {(*box, n) for box, n in zip(found.boxes.tolist(), found.areas.tolist(), strict=True)} == boxes


def test_more_components_than_sixteen_bits_count():
    mask = np.zeros((700, 700), bool)
    mask[::2, ::2] = True
    found = fastcam.boxes_from_masks(mask, keep="all")
    assert len(found.boxes) == 350 * 350
    assert found.areas.unique().tolist() == [1]


def test_a_row_wider_than_sixteen_bits_count():
    mask = np.ones((3, 70_001), bool)
    mask[1, 1:-1] = False
    found = fastcam.boxes_from_masks(mask, area="polygon")
    assert (found.boxes.tolist(), found.areas.tolist()) == ([[0, 0, 70_001, 3]], [140_000.0])


MIRRORS = {
    "left to right": (lambda m: m[:, :, ::-1], lambda x0, y0, x1, y1: (130 - x1, y0, 130 - x0, y1)),
    "upside down": (lambda m: m[:, ::-1], lambda x0, y0, x1, y1: (x0, 70 - y1, x1, 70 - y0)),
    "transposed": (lambda m: m.swapaxes(1, 2), lambda x0, y0, x1, y1: (y0, x0, y1, x1)),
}


@pytest.mark.parametrize(("area", "connectivity"), OPTIONS)
@pytest.mark.parametrize("mirror", MIRRORS)
def test_a_mirrored_mask_has_mirrored_boxes(mirror, area, connectivity):
    flip, moved = MIRRORS[mirror]
    masks = np.stack(list(random_masks(70, 130, 5).values()))

    def regions(some):
        found = fastcam.boxes_from_masks(some, keep="all", area=area, connectivity=connectivity)
        return list(zip(found.image.tolist(), found.boxes.tolist(), found.areas.tolist(), strict=True))

    wanted = sorted((i, moved(*box), size) for i, box, size in regions(masks))
    assert sorted((i, tuple(box), size) for i, box, size in regions(flip(masks).copy())) == wanted


def by_opencv(cv2, mask):
    """What the evaluators of the field take: box and polygon area of the largest contour."""
    contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
    if not contours:
        return [0, 0, 0, 0], 0
    best = max(contours, key=cv2.contourArea)
    x, y, w, h = cv2.boundingRect(best)
    return [x, y, x + w, y + h], cv2.contourArea(best)


def compare_with_opencv(cv2, masks):
    """Compare masks (N, H, W) uint8: the largest polygon, and every box and pixel count of both connectivities."""
    found = fastcam.boxes_from_masks(masks, area="polygon")
    for i, mask in enumerate(masks):
        assert (found.boxes[i].tolist(), found.areas[i].item()) == by_opencv(cv2, mask), mask.shape
    for connectivity in (4, 8):
        found = fastcam.boxes_from_masks(masks, keep="all", connectivity=connectivity)
        rows = torch.cat((found.boxes, found.areas[:, None].float()), 1).long()
        for i, mask in enumerate(masks):
            stats = cv2.connectedComponentsWithStats(mask, connectivity=connectivity)[2][1:].astype(np.int64)
            stats = stats[stats[:, 4] > 0]
            stats[:, 2:4] += stats[:, :2]
            assert sorted(rows[found.image == i].tolist()) == sorted(stats.tolist())


def batches(shapes, count, seed):
    """``count`` masks (H, W) uint8 a shape: noise and blocks at every density, smooth ones at every level."""
    for number, (height, width) in enumerate(shapes):
        rng = np.random.default_rng((seed, number))
        density = rng.random((count, 1, 1))
        for grain in (1, 2, 3, 5, 11):
            coarse = rng.random((count, height // grain + 1, width // grain + 1)) < density
            yield np.kron(coarse, np.ones((1, grain, grain), np.uint8))[:, :height, :width]
        for source in (3, 7, 14, 28):
            maps = smooth_maps(count, (height, width), seed + number, source).numpy()
            yield (maps > density).astype(np.uint8)


def test_masks_of_photographs_size_are_those_of_opencv():
    cv2 = pytest.importorskip("cv2")
    for masks in batches([(224, 224)], 4, seed=1):
        compare_with_opencv(cv2, masks)


@pytest.mark.long
def test_a_hundred_thousand_masks_are_those_of_opencv():
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    shapes = [(224, 224)] + [tuple(rng.integers(1, 160, 2).tolist()) for _ in range(55)]
    compared = 0
    for masks in batches(shapes, 200, seed=2):
        compare_with_opencv(cv2, masks)
        compared += len(masks)
    assert compared >= 100_000
    print(f"\n{compared} masks: largest polygon, all boxes and pixel counts, as OpenCV {cv2.__version__}")  # noqa: T201


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("shape", [(2101, 2003), (70_000, 64)], ids=str)
@pytest.mark.parametrize("connectivity", [4, 8])
def test_a_large_mask_in_strips_is_the_whole_one(shape, connectivity, threads):
    rng = np.random.default_rng(connectivity)
    for grain, density in ((1, 0.02), (1, 0.39), (3, 0.41), (150, 0.5)):
        coarse = rng.random((shape[0] // grain + 1, shape[1] // grain + 1)) < density
        mask = np.kron(coarse, np.ones((grain, grain), bool))[: shape[0], : shape[1]]
        packed = fastcam.PackedMasks.pack(mask)
        for area, keep, masks in product(AREAS, ("largest", "all"), (mask, packed)):
            results = []
            for count in (1, 5):
                threads(count)
                results.append(fastcam.boxes_from_masks(masks, keep=keep, area=area, connectivity=connectivity))
            whole, joined = results
            assert joined.boxes.equal(whole.boxes)
            assert joined.areas.equal(whole.areas)


def nested_bows(height, width):
    """Bows, one within the other: the arms of each meet far below."""
    mask = np.zeros((height, width), bool)
    for i in range(0, min(width // 2, height) - 1, 2):
        mask[: height - i, [i, width - 1 - i]] = True
        mask[height - 1 - i, i : width - i] = True
    return mask


def serpentine(height, width):
    """One line that goes down and up again from column to column."""
    mask = np.zeros((height, width), bool)
    mask[:, ::2] = True
    mask[-1, 1::4] = mask[0, 3::4] = True
    return mask


@pytest.mark.parametrize("draw", [nested_bows, serpentine])
@pytest.mark.parametrize("connectivity", [4, 8])
def test_components_that_meet_in_a_later_strip_are_one(draw, connectivity, threads):
    for mask in (draw(2101, 2003), draw(2101, 2003)[::-1]):
        for area, keep in product(AREAS, ("largest", "all")):
            results = []
            for count in (1, 5):
                threads(count)
                results.append(fastcam.boxes_from_masks(mask, keep=keep, area=area, connectivity=connectivity))
            whole, joined = results
            assert joined.boxes.equal(whole.boxes)
            assert joined.areas.equal(whole.areas)
