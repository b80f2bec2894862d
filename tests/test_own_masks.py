"""The mask of each box against SciPy's components, and in the forms of other tools."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from cases import smooth_maps
from libraries import library
from scipy import ndimage

import fastcam
from fastcam import PAPER
from fastcam.localization import localize_maps
from fastcam.own_masks import own_masks

EVERY = PAPER.replace(keep="all")


def by_scipy(mask, connectivity):
    """The mask of each component by its box."""
    labels, _ = ndimage.label(mask, np.ones((3, 3)) if connectivity == 8 else None)
    return {
        (x.start, y.start, x.stop, y.stop): labels == number
        for number, (y, x) in enumerate(ndimage.find_objects(labels), 1)
    }


@pytest.mark.parametrize("connectivity", [4, 8])
def test_every_component_is_told_by_its_box(connectivity):
    rng = np.random.default_rng(0)
    for density in (0.1, 0.4, 0.6, 0.9):
        mask = rng.random((21, 26)) < density
        wanted = by_scipy(mask, connectivity)
        found = own_masks(torch.from_numpy(mask), torch.tensor(list(wanted), dtype=torch.float32), connectivity)
        assert np.array_equal(found.numpy(), np.stack(list(wanted.values())))


def test_clipped_boxes_that_coincide_and_boxes_of_nothing():
    mask = torch.zeros(1, 6, 6, dtype=torch.bool)
    mask[0, 0, :4] = mask[0, 0, 5] = True
    boxes = torch.tensor([[0.0, 0, 4, 1], [5.0, 0, 5, 1], [0.0, 0, 0, 0]])
    found = own_masks(mask[0], boxes, 8)
    assert found.sum((1, 2)).tolist() == [4, 1, 0]
    assert found[1, 0, 5]


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("classes", [None, 2])
def test_results_have_the_masks_of_their_boxes(classes, connectivity):
    maps = smooth_maps(6, (9, 9), 1) + 0.2 * torch.rand(6, 9, 9, generator=torch.Generator().manual_seed(0))
    shape = maps.shape if classes is None else (3, 2, 9, 9)
    labels = torch.arange(6).reshape(shape[:-2])
    for protocol in (EVERY, PAPER):
        chosen = protocol.replace(connectivity=connectivity)
        found = localize_maps(
            maps.reshape(shape), labels, size=(30, 31), protocol=chosen, return_masks=True, return_maps=True
        )
        again = fastcam.Localization.cat([found[:1], found[1:]])
        each = again.masks_as("bool", of_boxes=True)
        assert len(each) == shape[0]
        whole = {int(label): mask for label, mask in zip(labels.flatten(), found.masks.flatten(0, -3), strict=True)}
        for own, image, entries in zip(each, found.image_boxes(), _by_image(found), strict=True):
            for mask, box, label in zip(own, image.boxes, image.labels, strict=True):
                by_box = by_scipy(whole[int(label)].numpy(), connectivity)
                assert np.array_equal(mask.numpy(), by_box[tuple(box.int().tolist())])
            rles = [{"size": one["size"], "counts": one["counts"]} for one in json.loads(json.dumps(entries))]
            assert torch.equal(fastcam.masks.plain_masks(rles), own)
        alone = found[0].masks_as("rle", of_boxes=True)
        assert torch.equal(fastcam.masks.plain_masks(alone), each[0])


def _by_image(found):
    """The segmentations in to_coco's entries."""
    every = found.to_coco()
    return [[one["segmentation"] for one in every if one["image_id"] == i] for i in range(len(found))]


def test_sam_prompts_are_of_the_component():
    heat = torch.zeros(1, 12, 12)
    heat[0, 2:10, 2], heat[0, 9, 2:10] = 1.0, 1.0  # an L around a higher spot
    heat[0, 4, 6] = 3.0
    protocol = EVERY.replace(percentile=100, threshold=0.2)
    found = localize_maps(heat, None, size=(12, 12), protocol=protocol, return_maps=True, return_masks=True)
    ((first, spot),) = found.to_sam_prompts()
    assert first["box"].tolist() == [2, 2, 9, 9]
    assert first["point_coords"].tolist() == [[2, 2]]
    assert spot["point_coords"].tolist() == [[6, 4]]
    # A pixel of 12 is 21 of the mask's 256: at the spot the L's prompt says background, and its own foreground.
    assert first["mask_input"][0, 96, 138] < 0 < spot["mask_input"][0, 96, 138]
    assert first["mask_input"][0, 96, 53] > 0 > spot["mask_input"][0, 96, 53]


def test_supervision_has_a_mask_for_each_box():
    supervision = library("supervision")
    maps = smooth_maps(2, (9, 9), 1)
    found = localize_maps(maps, None, size=(30, 31), protocol=EVERY, return_masks=True)
    for detections, own in zip(found.to_supervision(), found.masks_as("bool", of_boxes=True), strict=True):
        assert np.array_equal(detections.mask, own.numpy())
        boxes = supervision.mask_to_xyxy(detections.mask)
        boxes[:, 2:] += 1
        assert np.array_equal(boxes, detections.xyxy)
