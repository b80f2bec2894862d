"""All boxes of maps and their scores as the kernels find them, against SciPy: ragged, and in a fixed number of rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cases import broken_maps, heat_maps, random_masks
from fastcam.kernels import components as kernel
from scipy import ndimage

import fastcam
from fastcam.ops import masks, objects_by_kernels
from fastcam.ops.objects_by_kernels import padded_by_kernels, ragged_by_kernels
from fastcam.reference import components as reference

SIZE = (11, 33)
ALL = fastcam.PAPER.replace(keep="all")


@pytest.fixture(autouse=True)
def _with_kernels(device, monkeypatch):
    # What comes before has tests of its own, and takes most of the time.
    monkeypatch.setattr(objects_by_kernels, "binarize", masks._any_device)
    if device.type == "cpu":  # where a tile costs about the same whatever its size
        monkeypatch.setattr(kernel, "_T", 1 << 10)
        monkeypatch.setattr(kernel, "_R", 1 << 9)


def maps_of_all_kinds(dtype=torch.float32):
    maps = [*heat_maps(9, 4).values(), *broken_maps(9, 4).values()]
    noise = torch.randn(4, 9, 4, generator=torch.Generator().manual_seed(0))
    return torch.cat((torch.stack(maps)[::8], noise[1:], -noise[:1].abs())).to(dtype)


def polygons(mask, connectivity):
    """Twice the area is a whole number, so that a float holds it exactly."""
    return {(c.x0, c.y0, c.x1, c.y1, c.pixels): c.polygon for c in reference.components(mask, connectivity)}


def components(full, threshold, protocol):
    """(box, area, peak, mean) of every component, in the raster order of first pixels."""
    mask = full > threshold
    labels, count = ndimage.label(mask, np.ones((3, 3)) if protocol.connectivity == 8 else None)
    first = np.array([np.flatnonzero(labels == number)[0] for number in range(1, count + 1)])
    by_polygon = polygons(mask, protocol.connectivity) if protocol.area == "polygon" else {}
    found = []
    places = ndimage.find_objects(labels)
    for number in (1 + np.argsort(first)).tolist():
        y, x = places[number - 1]
        values = full[labels == number].astype(np.float64).tolist()
        box = (x.start, y.start, x.stop, y.stop)
        area = by_polygon[(*box, len(values))] if by_polygon else len(values)
        found.append((box, area, max(values), math.fsum(values) / len(values)))
    return found


def wanted_boxes(full, threshold, protocol, high):
    """Rows (box, area, score) in the protocol's order, and how many there are without ``max_boxes``."""
    found = [one for one in components(full, threshold, protocol) if one[1] >= protocol.min_area and one[2] > high]
    score = 2 if protocol.scores == "peak" else 3
    if protocol.order == "highest":
        found.sort(key=lambda one: -np.float32(one[score]))
    else:
        if protocol.area == "polygon":
            found.reverse()
        found.sort(key=lambda one: -one[1])
    if protocol.box_end == "clipped":
        height, width = full.shape
        found = [((b[0], b[1], min(b[2], width - 1), min(b[3], height - 1)), *rest) for b, *rest in found]
    return [(list(one[0]), one[1], one[score]) for one in found[: protocol.max_boxes]], len(found)


def compare(maps, protocol, device, rtol=1.2e-7):
    """Both forms, of every map; rtol: a unit in the last place of float32."""
    *rows, numbers, thresholds, full, kept = ragged_by_kernels(maps.to(device), *SIZE, *protocol.values, True, True)
    assert torch.equal(kept.cpu(), full.cpu().to(thresholds.dtype) > thresholds.cpu()[:, None, None])
    room = protocol.max_boxes or 3
    padded = padded_by_kernels(maps.to(device), *SIZE, *protocol.replace(max_boxes=room).values)
    boxes, areas, scores = (part.cpu().numpy() for part in rows)
    assert scores.dtype == (np.float64 if maps.dtype == torch.float64 else np.float32)
    for i, (one, threshold) in enumerate(zip(full.cpu().numpy(), thresholds.tolist(), strict=True)):
        high = -math.inf
        if protocol.high_threshold is not None:
            percentile = np.percentile(one, protocol.percentile)
            high = one.dtype.type(protocol.high_threshold) * percentile
            high = np.floor(high) if protocol.quantize else high
        wanted, count = wanted_boxes(one, threshold, protocol, high)
        mine = numbers.cpu().numpy() == i
        assert boxes[mine].tolist() == [row[0] for row in wanted]
        assert areas[mine].tolist() == [row[1] for row in wanted]
        np.testing.assert_allclose(scores[mine], [row[2] for row in wanted], rtol=rtol)
        first = min(room, len(wanted))
        for part, same in zip(padded, (boxes, areas, scores), strict=False):
            assert part[i, :first].tolist() == same[mine][:first].tolist()
            assert (part[i, first:] == 0).all()
        assert padded[3][i] == count
    torch.testing.assert_close(padded[4], thresholds, rtol=0, atol=0, equal_nan=True)
    assert len(boxes) > 2


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"scores": "mean"},
        {"scores": "mean", "order": "highest", "max_boxes": 2},
        pytest.param({"order": "highest", "min_area": 3, "connectivity": 4}, marks=pytest.mark.long),
        {"area": "polygon", "min_area": 2.5, "max_boxes": 4, "box_end": "clipped"},
        pytest.param(
            {"area": "polygon", "scores": "mean", "connectivity": 4, "empty": "image"}, marks=pytest.mark.long
        ),
        pytest.param({"high_threshold": 0.9, "percentile": 95}, marks=pytest.mark.long),
        {"normalize": "minmax", "quantize": True, "scores": "mean", "high_threshold": 0.8},
        pytest.param({"normalize": "max", "interpolation": "bicubic", "scores": "mean"}, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_boxes_and_scores_are_scipys(fields, device):
    rtol = 0 if "quantize" in fields or fields.get("scores") != "mean" else 1.2e-7
    maps = maps_of_all_kinds()
    if rtol == 0 and "quantize" in fields:
        rtol = 6e-8  # the rounding of an exact mean to float32
    compare(maps, ALL.replace(**fields), device, rtol)


def test_double_precision(device):
    compare(maps_of_all_kinds(torch.float64), ALL.replace(scores="mean", order="highest"), device, 1e-12)


def test_means_of_levels_are_those_of_the_cpu_to_the_bit(device):
    protocol = ALL.replace(normalize="minmax", quantize=True, scores="mean")
    maps = maps_of_all_kinds()
    found = ragged_by_kernels(maps.to(device), *SIZE, *protocol.values, False, False)
    wanted = torch.ops.fastcam.locate_all(maps, *SIZE, *protocol.values, False, False)
    assert all(torch.equal(part.cpu(), one) for part, one in zip(found[:4], wanted[:4], strict=True))


def test_a_mean_keeps_its_bits_beside_infinities_and_whatever_the_scale(device):
    maps = torch.zeros(5, 4, 40)
    values = torch.rand(4, 12, generator=torch.Generator().manual_seed(2)) + 0.5
    for one, scale in zip(maps, (1.0, 1e-38, 1e38, 3e-45 * 2**30, 1.0), strict=True):
        one[:, 2:14] = values * scale
    maps[4, 0, 30] = torch.inf
    protocol = ALL.replace(scores="mean", percentile=100, threshold=0, connectivity=4)
    *_, scores, numbers, _, full, _ = ragged_by_kernels(maps.to(device), 4, 40, *protocol.values, True, False)
    of_maps = full.cpu().double()[:, :, 2:14].mean(dim=(1, 2)).float()
    assert numbers.tolist() == [0, 1, 2, 3]  # of the last the threshold, 0 times infinity, keeps nothing
    torch.testing.assert_close(scores.cpu(), of_maps[:4], rtol=1.2e-7, atol=0)


def test_infinite_values_make_infinite_means(device):
    maps = torch.ones(1, 6, 40)
    maps[0, 2:4] = 3
    maps[0, 5, 7] = torch.inf
    protocol = ALL.replace(scores="mean", percentile=90, threshold=0.5)
    found = ragged_by_kernels(maps.to(device), 6, 40, *protocol.values, False, False)
    wanted = torch.ops.fastcam.locate_all(maps, 6, 40, *protocol.values, False, False)
    assert found[2].tolist() == wanted[2].tolist()


@pytest.mark.parametrize("order", ["largest", "highest"])
def test_equal_ones_and_masks_of_too_many_runs(order, device, monkeypatch):
    for name, value in (("_T", 16), ("_R", 32), ("_CAPACITY", 8), ("_PROGRAMS", 3), ("_LATE_PROGRAMS", 2)):
        monkeypatch.setattr(kernel, name, value)
    maps = torch.from_numpy(np.stack(list(random_masks(*SIZE, 3).values()))[:2]).float()
    for area in ("pixels", "polygon"):
        compare(maps, ALL.replace(order=order, area=area, max_boxes=5), device, 0)


def test_no_maps_and_nothing_found(device):
    values = ALL.replace(max_boxes=2).values
    for maps in (torch.zeros(0, 3, 3), torch.zeros(2, 3, 3)):
        found = ragged_by_kernels(maps.to(device), *SIZE, *values, True, True)
        assert [len(part) for part in found] == [0, 0, 0, 0, len(maps), len(maps), len(maps)]
        boxes, areas, scores, counts, _ = padded_by_kernels(maps.to(device), *SIZE, *values)
        assert boxes.shape == (len(maps), 2, 4)
        assert not any(part.any() for part in (boxes, areas, scores, counts))


def test_many_maps_are_worked_on_some_at_a_time(device, monkeypatch):
    maps, protocol = maps_of_all_kinds()[-3:].to(device), ALL.replace(scores="mean", max_boxes=3)
    options = (*SIZE, *protocol.values)
    together = ragged_by_kernels(maps, *options, True, True), padded_by_kernels(maps, *options)
    monkeypatch.setattr(objects_by_kernels, "_PIXELS", 2 * SIZE[0] * SIZE[1])
    apart = ragged_by_kernels(maps, *options, True, True), padded_by_kernels(maps, *options)
    for one, other in zip(together, apart, strict=True):
        for part, same in zip(one, other, strict=True):
            torch.testing.assert_close(part, same, rtol=0, atol=0, equal_nan=True)
