"""All boxes of a map, by every door, against SciPy; and the result that holds any number of boxes an image."""

from __future__ import annotations

import dataclasses
import json
from itertools import product

import numpy as np
import pytest
import torch
from cases import broken_maps, heat_maps, smooth_maps
from scipy import ndimage

import fastcam
from fastcam import AUTHORS, PAPER, WSOLEVAL, Localization, Objects
from fastcam.localization import localize_maps

ALL = PAPER.replace(keep="all")


def kinds_of_maps(count, size, seed=0):
    """Smooth, rough, noisy, constant and broken maps (5 * count, H, W) float32."""
    generator = torch.Generator().manual_seed(seed)
    smooth = smooth_maps(count, size, seed)
    rough = smooth + 0.2 * torch.randn(count, *size, generator=generator)
    noisy = torch.randn(count, *size, generator=generator)
    constant = torch.rand(count, 1, 1, generator=generator).expand(count, *size)
    broken = noisy.clone()
    broken.view(count, -1)[torch.arange(count), torch.randint(0, size[0] * size[1], (count,), generator=generator)] = (
        torch.tensor([torch.nan, torch.inf, -torch.inf]).repeat(count)[:count]
    )
    return torch.cat([smooth, rough, noisy, constant, broken])


def by_scipy(maps, thresholds, connectivity):
    """Boxes, pixels, peaks, means and image numbers of ``map > threshold``, each image's largest first."""
    structure = np.ones((3, 3)) if connectivity == 8 else None
    rows = []
    for i, (one, threshold) in enumerate(zip(maps.numpy(), thresholds.tolist(), strict=True)):
        labels, count = ndimage.label(one > threshold, structure)
        numbers = np.arange(1, count + 1)
        pixels = ndimage.sum_labels(np.ones(one.shape), labels, numbers)
        with np.errstate(invalid="ignore"):
            peaks, means = ndimage.maximum(one, labels, numbers), ndimage.mean(one.astype(float), labels, numbers)
        places = ndimage.find_objects(labels)
        first = [np.flatnonzero(labels == number)[0] for number in numbers]
        for k in sorted(range(count), key=lambda k: (-pixels[k], first[k])):
            y, x = places[k]
            rows.append([x.start, y.start, x.stop, y.stop, pixels[k], peaks[k], means[k], i])
    table = np.array(rows, float).reshape(-1, 8)
    return table[:, :4], table[:, 4], table[:, 5], table[:, 6], table[:, 7]


def assert_is_scipys(found, maps, connectivity, scores="peak"):
    boxes, pixels, peaks, means, image = by_scipy(maps, found.thresholds, connectivity)
    assert found.image.tolist() == image.tolist()
    assert found.boxes.tolist() == boxes.tolist()
    assert found.areas.tolist() == pixels.tolist()
    if scores == "peak":
        assert found.scores.tolist() == peaks.tolist()
    else:
        np.testing.assert_allclose(found.scores.numpy(), means, rtol=2e-7)


@pytest.mark.parametrize("connectivity", [4, 8])
def test_the_boxes_of_3000_maps_are_scipys(connectivity):
    maps = kinds_of_maps(600, (24, 33))
    assert len(maps) == 3000
    for scores in ("peak", "mean"):
        found = fastcam.boxes_from_maps(maps, protocol=ALL.replace(connectivity=connectivity, scores=scores))
        assert_is_scipys(found, maps, connectivity, scores)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("normalize", ["none", "minmax", "max", "percentile"])
def test_the_boxes_of_resized_maps_are_scipys(normalize, interpolation):
    maps = kinds_of_maps(8, (7, 9))
    for quantize, scores in product((False, True), ("peak", "mean")):
        protocol = ALL.replace(interpolation=interpolation, normalize=normalize, quantize=quantize, scores=scores)
        found = localize_maps(maps, None, size=(61, 83), protocol=protocol, return_maps=True)
        assert_is_scipys(found, found.maps, 8, scores)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_maps_of_other_widths(dtype):
    maps = kinds_of_maps(6, (20, 21)).to(dtype)
    for scores in ("peak", "mean"):
        found = fastcam.boxes_from_maps(maps, protocol=ALL.replace(scores=scores))
        work = torch.float64 if dtype == torch.float64 else torch.float32
        assert found.scores.dtype == found.thresholds.dtype == work
        assert_is_scipys(found, maps.to(work), 8, scores)


@pytest.mark.parametrize("protocol", [PAPER, AUTHORS, WSOLEVAL, PAPER.replace(area="polygon")])
def test_the_first_box_of_a_map_is_that_of_the_largest_component(protocol):
    maps = torch.stack(list((heat_maps(9, 11) | broken_maps(9, 11)).values()))
    for size in ((9, 11), (40, 30)):
        one = localize_maps(maps, None, size=size, protocol=protocol)
        every = localize_maps(maps, None, size=size, protocol=protocol.replace(keep="all", max_boxes=1))
        found = one.areas > 0 if protocol.area == "pixels" else torch.isin(torch.arange(len(maps)), every.image)
        assert every.image.tolist() == torch.arange(len(maps))[found].tolist()
        assert torch.equal(every.boxes, one.boxes[found])
        assert torch.equal(every.areas, one.areas[found])
        torch.testing.assert_close(every.thresholds, one.thresholds, rtol=0, atol=0, equal_nan=True)


def two_squares():
    """A square of 9 pixels and height 1, one of 4 and height 5, a pixel of height 3."""
    heat = torch.zeros(1, 8, 8)
    heat[0, :3, :3], heat[0, 5:7, 5:7], heat[0, 0, 7] = 1, 5, 3
    return heat


@pytest.mark.parametrize(
    ("fields", "areas", "scores"),
    [
        ({}, [9, 4, 1], [1, 5, 3]),
        ({"order": "highest"}, [4, 1, 9], [5, 3, 1]),
        ({"min_area": 2}, [9, 4], [1, 5]),
        ({"min_area": 4}, [9, 4], [1, 5]),
        ({"max_boxes": 2}, [9, 4], [1, 5]),
        ({"max_boxes": 2, "order": "highest"}, [4, 1], [5, 3]),
        ({"max_boxes": 1, "min_area": 5, "order": "highest"}, [9], [1]),
        ({"min_area": 100}, [], []),
    ],
)
def test_which_boxes_are_kept_and_in_which_order(fields, areas, scores):
    protocol = ALL.replace(percentile=100, threshold=0.1, **fields)
    found = fastcam.boxes_from_maps(two_squares().repeat(2, 1, 1), protocol=protocol)
    assert found.areas.tolist() == areas * 2
    assert found.scores.tolist() == scores * 2
    assert found.counts.tolist() == [len(areas)] * 2
    assert found.is_empty.tolist() == [not areas] * 2


def class_features(dtype=torch.float32, images=4):
    random = torch.Generator().manual_seed(3)
    return torch.randn(images, 6, 9, 7, generator=random).to(dtype), torch.randn(10, 6, generator=random).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("index", [[3, 0, 9, 1], [[1, 2], [0, 0], [9, 8], [4, 5]], None])
@pytest.mark.parametrize("several_sizes", [False, True])
def test_from_features_as_from_their_maps(several_sizes, index, dtype):
    features, weight = class_features(dtype)
    weight = weight if index is not None else weight[:4]
    size = [(30, 41), (8, 8), (30, 41), (17, 70)] if several_sizes else (30, 41)
    found = fastcam.localize(features, weight, index, size=size, protocol=ALL, return_maps=True, return_masks=True)
    flat_maps = [one for part in found.maps for one in (part if isinstance(index, list) and part.ndim == 3 else [part])]
    thresholds = found.thresholds.flatten().tolist()
    boxes, areas, peaks, image, labels, at = [], [], [], [], [], 0
    rows = [[None]] * 4 if index is None else [one if isinstance(one, list) else [one] for one in index]
    for i, row in enumerate(rows):
        for label in row:
            one = by_scipy(flat_maps[at][None], torch.tensor([thresholds[at]], dtype=torch.float64), 8)
            boxes += one[0].tolist()
            areas += one[1].tolist()
            peaks += one[2].tolist()
            image += [i] * len(one[0])
            labels += [label] * len(one[0])
            at += 1
    assert found.boxes.tolist() == boxes
    assert found.areas.tolist() == areas
    assert found.scores.tolist() == peaks
    assert found.image.tolist() == image
    assert (None if index is None else labels) == (None if found.labels is None else found.labels.tolist())
    masks = [one for part in found.masks for one in (part if part.ndim == 3 else [part])]
    for mask, full, threshold in zip(masks, flat_maps, thresholds, strict=True):
        assert torch.equal(mask, full.double() > threshold)


def test_the_maps_need_not_be_returned_to_be_the_same():
    features, weight = class_features()
    index = torch.tensor([[1, 2], [0, 0], [9, 8], [4, 5]])
    whole = fastcam.localize(features, weight, index, size=(40, 50), protocol=ALL, return_maps=True)
    alone = fastcam.localize(features, weight, index, size=(40, 50), protocol=ALL)
    assert alone.maps is None
    for name in ("boxes", "areas", "scores", "labels", "image", "thresholds"):
        assert torch.equal(getattr(alone, name), getattr(whole, name))


@pytest.mark.parametrize("size", [(12, 12), [], "one each"])
def test_no_images(size):
    maps, size = torch.ones(0, 4, 5), [] if size == "one each" else size
    found = localize_maps(maps, None, size=size, protocol=ALL, return_maps=True)
    assert (len(found), len(found.boxes), len(found.maps), found.counts.tolist()) == (0, 0, 0, [])
    assert found.to_torchmetrics() == []
    none = localize_maps(torch.ones(3, 0, 4, 5), torch.ones(3, 0).long(), size=(8, 8), protocol=ALL)
    assert (len(none), none.thresholds.shape, none.counts.tolist()) == (3, (3, 0), [0, 0, 0])


def test_maps_of_different_sizes_in_a_list():
    several = [two_squares()[0], torch.zeros(3, 5), torch.ones(4, 4) + torch.eye(4), two_squares()[0, :, :6]]
    found = fastcam.boxes_from_maps(several, protocol=ALL.replace(percentile=100, threshold=0.1))
    assert found.image.tolist() == [0, 0, 0, 2, 3, 3]
    assert found.areas.tolist() == [9, 4, 1, 16, 9, 2]
    alone = [fastcam.boxes_from_maps(one, protocol=ALL.replace(percentile=100, threshold=0.1)) for one in several]
    assert torch.equal(Objects.cat(alone).boxes, found.boxes)


def example():
    index = torch.tensor([[1, 2], [0, 0], [9, 8], [4, 5]])
    return fastcam.localize(*class_features(), index, size=(20, 30), protocol=ALL, return_maps=True)


def test_images_are_chosen_with_their_boxes():
    found = example()
    for key, numbers in [
        (slice(1, 3), [1, 2]),
        (slice(None, None, -1), [3, 2, 1, 0]),
        ([2, 0, 2], [2, 0, 2]),
        (torch.tensor([True, False, False, True]), [0, 3]),
        ([], []),
    ]:
        some = found[key]
        assert isinstance(some, Objects)
        assert len(some) == len(numbers)
        of_each = [found.boxes[found.image == i] for i in numbers]
        assert torch.equal(some.boxes, torch.cat(of_each) if of_each else torch.zeros(0, 4))
        assert some.image.tolist() == [k for k, part in enumerate(of_each) for _ in part]
        assert torch.equal(some.thresholds, found.thresholds[numbers])
        assert torch.equal(some.maps, found.maps[numbers])
    one = found[-1]
    assert (one.single, len(one), one.maps.shape, one.thresholds.shape) == (True, 1, (2, 20, 30), (2,))
    assert torch.equal(one.boxes, found.boxes[found.image == 3])
    assert [len(each.boxes) for each in found] == found.counts.tolist()
    with pytest.raises(IndexError, match="image 4 is out of range"):
        found[4]


def test_results_are_joined_with_their_images_counted_on():
    found = example()
    again = Localization.cat([found[:1], found[1], found[2:]])
    assert isinstance(again, Objects)
    for name in ("boxes", "areas", "scores", "labels", "image", "thresholds", "maps"):
        assert torch.equal(getattr(again, name), getattr(found, name))
    with pytest.raises(TypeError, match="of one kind, got Objects and Localization"):
        Localization.cat([found, fastcam.boxes_from_maps(two_squares())])


def test_every_box_is_exported_with_its_score():
    found = example()
    entries = found.to_coco(image_ids=["a", "b", "c", "d"])
    assert json.loads(json.dumps(entries)) == entries
    assert [entry["score"] for entry in entries] == found.scores.tolist()
    assert [entry["image_id"] for entry in entries] == ["abcd"[i] for i in found.image]
    assert [entry["category_id"] for entry in entries] == found.labels.tolist()
    wide = torch.tensor([entry["bbox"] for entry in entries])
    assert torch.equal(torch.cat([wide[:, :2], wide[:, :2] + wide[:, 2:]], 1), found.boxes)
    for i, one in enumerate(found.to_torchmetrics()):
        for key in ("boxes", "scores", "labels"):
            assert torch.equal(one[key], getattr(found, key)[found.image == i])
    assert found[1].to_coco(image_ids=[7])[0]["image_id"] == 7
    assert list(found.numpy()) == ["boxes", "areas", "thresholds", "labels", "scores", "maps", "image", "place"]
    assert repr(found) == f"Objects(4 images, {len(found.boxes)} boxes on cpu, labels, scores, maps)"


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"keep": "both"}, ValueError, "keep must be one of 'largest', 'all', got 'both'"),
        ({"scores": "median"}, ValueError, "scores must be one of 'peak', 'mean', got 'median'"),
        ({"order": "first"}, ValueError, "order must be one of 'largest', 'highest', got 'first'"),
        ({"max_boxes": 0}, ValueError, "max_boxes must be at least 1, or None for all, got 0"),
        ({"max_boxes": -3}, ValueError, "max_boxes must be at least 1"),
        ({"max_boxes": 2.0}, TypeError, "max_boxes must be an int or None, got 2.0"),
        ({"max_boxes": True}, TypeError, "max_boxes must be an int or None, got True"),
        ({"min_area": -1}, ValueError, r"min_area must lie in \[0, inf\], got -1"),
        ({"min_area": "9"}, TypeError, "min_area must be a number, got '9'"),
        ({"keep": "largest", "min_area": 9}, ValueError, 'min_area is of keep="all", got 9.0 with keep="largest"'),
        ({"keep": "largest", "max_boxes": 9}, ValueError, 'max_boxes is of keep="all", got 9'),
    ],
)
def test_what_is_refused(fields, error, message):
    with pytest.raises(error, match=message):
        ALL.replace(**fields)


def test_evaluation_judges_the_largest_box():
    assert ALL.replace(max_boxes=3, order="highest", scores="mean", min_area=2).of_largest() == PAPER
    assert AUTHORS.of_largest() is AUTHORS


def test_probabilities_are_beside_the_scores_of_boxes():
    features, weight = class_features()
    logits = features.mean((2, 3)) @ weight.T
    from fastcam.extractors.extraction import LinearExtraction, chosen_classes

    labels = chosen_classes(logits, top_k=3)
    found = LinearExtraction(logits, labels, (20, 30), features, weight).localize(protocol=ALL)
    assert torch.equal(found.probabilities, logits.softmax(1)[found.image, found.labels])
    plain = fastcam.localize(features, weight, labels, size=(20, 30), protocol=ALL)
    assert torch.equal(found.scores, plain.scores)
    assert dataclasses.replace(found, probabilities=None).to_coco() == plain.to_coco()
