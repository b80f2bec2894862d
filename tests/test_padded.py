"""All boxes in a fixed number of rows a map, beside the ragged form, by both doors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import broken_maps, heat_maps

import fastcam
from fastcam.ops.padded import locate_padded

ALL = fastcam.PAPER.replace(keep="all", max_boxes=3)


def maps_of_all_kinds():
    noise = torch.randn(5, 9, 4, generator=torch.Generator().manual_seed(0))
    return torch.cat((torch.stack([*heat_maps(9, 4).values(), *broken_maps(9, 4).values()]), noise))


def assert_same(padded, ragged):
    found = padded.objects()
    for name in ("boxes", "areas", "scores", "image", "place", "labels", "thresholds"):
        part, wanted = getattr(found, name), getattr(ragged, name)
        if wanted is None:
            assert part is None
        else:
            torch.testing.assert_close(part, wanted, rtol=0, atol=0, equal_nan=True)
    assert (found.size, found.connectivity) == (ragged.size, ragged.connectivity)
    assert not padded.boxes[~padded.is_box].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"max_boxes": 1, "connectivity": 4},
        {"max_boxes": 50, "order": "highest", "scores": "mean"},
        {"area": "polygon", "min_area": 1.5, "box_end": "clipped", "empty": "image"},
        {"high_threshold": 0.9},
    ],
    ids=str,
)
def test_the_rows_are_the_boxes(fields, dtype):
    protocol, maps = ALL.replace(**fields), maps_of_all_kinds().to(dtype)
    padded = fastcam.padded_boxes_from_maps(maps, size=(20, 31), protocol=protocol)
    assert padded.boxes.shape == (len(maps), protocol.max_boxes, 4)
    assert padded.scores.dtype == dtype
    assert_same(padded, fastcam.boxes_from_maps(maps, size=(20, 31), protocol=protocol))
    every = fastcam.boxes_from_maps(maps, size=(20, 31), protocol=protocol.replace(max_boxes=None))
    assert torch.equal(padded.counts, every.counts)


@pytest.mark.parametrize("index", [None, [0, 2, 1, 0], [[0, 1], [2, 2], [1, 0], [2, 0]]], ids=str)
def test_from_features(index):
    generator = torch.Generator().manual_seed(1)
    features, weight = torch.randn(4, 6, 5, 7, generator=generator), torch.randn(4, 6, generator=generator)
    padded = fastcam.localize_padded(features, weight, index, size=(30, 40), protocol=ALL)
    assert_same(padded, fastcam.localize(features, weight, index, size=(30, 40), protocol=ALL))


def test_by_hand():
    heat = np.zeros((1, 8, 8), np.float32)
    heat[0, 0, 0], heat[0, 2:4, 2:4], heat[0, 6, 6:8] = 3, 1, 2
    protocol = ALL.replace(percentile=100, threshold=0.2, max_boxes=2, order="highest")
    found = fastcam.padded_boxes_from_maps(heat, protocol=protocol)
    assert found.boxes.tolist() == [[[0, 0, 1, 1], [6, 6, 8, 7]]]
    assert found.scores.tolist() == [[3, 2]]
    assert (found.areas.tolist(), found.counts.tolist(), len(found)) == ([[1, 2]], [3], 1)


def test_no_images():
    found = fastcam.localize_padded(torch.zeros(0, 3, 4, 4), torch.ones(2, 3), [], size=(8, 8), protocol=ALL)
    assert found.boxes.shape == (0, 3, 4)
    assert len(found.objects().boxes) == 0


def test_pytorch_knows_the_shapes():
    torch.library.opcheck(locate_padded, (maps_of_all_kinds()[:3], 12, 15, *ALL.values))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"protocol": fastcam.PAPER}, ValueError, "keep=\"all\" and max_boxes.* got keep='largest'"),
        ({"protocol": fastcam.PAPER.replace(keep="all")}, ValueError, "max_boxes=None"),
        ({"protocol": "paper"}, TypeError, "protocol must be a fastcam.Protocol, got 'paper'"),
        ({"size": [(8, 8), (9, 9), (7, 7)]}, ValueError, r"size must be one \(H, W\) for all images, got 3"),
        ({"size": (0, 8)}, ValueError, "size"),
    ],
)
def test_what_is_refused(changes, error, message):
    with pytest.raises(error, match=message):
        fastcam.padded_boxes_from_maps(torch.zeros(3, 8, 8), **{"protocol": ALL, "size": (8, 8), **changes})
    with pytest.raises(error, match=message):
        fastcam.localize_padded(
            torch.zeros(3, 2, 4, 4), torch.ones(3, 2), **{"protocol": ALL, "size": (8, 8), **changes}
        )


def test_units_and_rows_of_the_operator_are_checked():
    with pytest.raises(ValueError, match="uint8 maps"):
        fastcam.padded_boxes_from_maps(np.zeros((2, 8, 8), np.uint8), protocol=ALL.replace(quantize=True))
    with pytest.raises(ValueError, match="max_boxes must be a number"):
        locate_padded(torch.zeros(1, 2, 2), 4, 4, *fastcam.PAPER.values)
