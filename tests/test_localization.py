"""From features or heat maps to boxes: published numbers, exact thresholds, every protocol, and what it is given."""

from __future__ import annotations

import dataclasses
from itertools import product

import numpy as np
import pytest
import torch
from by_reference import located
from cases import DTYPES, LAYOUTS, PERCENTILES, RESIZES, broken_maps, heat_maps, score_map

import fastcam
from fastcam.reference import activation, components


def at_224(name, protocol, **options):
    """The box of a score map, taken as the one channel of its features."""
    features = score_map(name)[None, None]
    chosen = {"size": (224, 224), "return_maps": True, "return_masks": True, **options}
    return fastcam.localize(features, torch.ones(1, 1), protocol=protocol, **chosen)


# theta, percentile; percentile of the levels, threshold, box, pixels kept (None where the study has no count).
AUTHORS = [
    ("A", 0.2, 100, 255, 51, [51, 31, 224, 145], 15366),
    ("A", 0.35, 90, 152, 53, [52, 32, 224, 144], 15004),
    ("A", 0.35, 100, 255, 89, [68, 41, 204, 135], 10090),
    ("A", 0.5, 80, 90, 45, [47, 28, 224, 148], 16550),
    ("B", 0.2, 100, 255, 51, [77, 96, 224, 207], 18309),
    ("B", 0.35, 90, 147, 51, [77, 96, 224, 207], None),
    ("B", 0.35, 100, 255, 89, [94, 108, 209, 196], 11355),
    ("B", 0.5, 80, 99, 49, [76, 95, 224, 208], 18803),
    ("C", 0.2, 100, 255, 51, [0, 0, 224, 224], 42708),
    ("C", 0.35, 90, 173, 60, [0, 0, 224, 224], 40850),
    ("C", 0.35, 100, 255, 89, [0, 0, 224, 224], 34716),
    ("C", 0.5, 80, 153, 76, [0, 0, 224, 224], 37623),
    ("D", 0.2, 100, 255, 51, [30, 51, 197, 173], 16660),
    ("D", 0.35, 90, 126, 44, [28, 47, 207, 177], 18856),
    ("D", 0.35, 100, 255, 89, [42, 65, 166, 159], 8530),
    ("D", 0.5, 80, 80, 40, [26, 45, 217, 179], 20336),
]


@pytest.mark.parametrize(("name", "theta", "q", "percentile", "threshold", "box", "kept"), AUTHORS)
def test_boxes_of_the_papers_released_code(name, theta, q, percentile, threshold, box, kept):
    found = at_224(name, fastcam.AUTHORS, threshold=theta, percentile=q)
    assert np.percentile(found.maps[0].numpy(), q) == percentile
    assert found.thresholds.tolist() == [threshold]
    assert found.boxes.tolist() == [box]
    if kept is not None:
        assert found.masks.sum().item() == kept


LITERAL = [
    ("A", 0.2, 100, [51, 31, 224, 145]),
    ("A", 0.35, 90, [52, 32, 224, 144]),
    ("A", 0.35, 100, [67, 41, 204, 135]),
    ("A", 0.5, 80, [47, 28, 224, 148]),
    ("B", 0.2, 100, [76, 96, 224, 207]),
    ("B", 0.35, 90, [76, 96, 224, 207]),
    ("C", 0.2, 100, [42, 58, 224, 224]),
    ("C", 0.35, 90, [36, 52, 224, 224]),
    ("C", 0.35, 100, [143, 63, 224, 124]),
    ("C", 0.5, 80, [36, 52, 224, 224]),
    ("D", 0.2, 100, [35, 57, 183, 167]),
    ("D", 0.35, 90, [32, 53, 192, 171]),
    ("D", 0.35, 100, [44, 69, 155, 155]),
    ("D", 0.5, 80, [30, 49, 201, 175]),
]


@pytest.mark.parametrize("area", ["pixels", "polygon"])
@pytest.mark.parametrize(("name", "theta", "q", "box"), LITERAL)
def test_boxes_of_the_equations_taken_literally_at_other_thresholds(name, theta, q, box, area):
    protocol = fastcam.PAPER.replace(interpolation="bicubic", area=area)
    assert at_224(name, protocol, threshold=theta, percentile=q).boxes.tolist() == [box]


# Percentile, pixels kept, box, pixels of the largest region. A resize that rounds otherwise than OpenCV's could move a
# pixel or two across the threshold; this one moves none, so the counts are held to the digit.
PAPER = [
    ("bilinear", 0.35, 90, "A", 0.585461, 15670, [50, 30, 224, 146], 15670),
    ("bilinear", 0.35, 90, "B", 0.560930, 19461, [76, 94, 224, 210], 13766),
    ("bilinear", 0.35, 90, "C", 0.379517, 17513, [106, 0, 224, 127], 4312),
    ("bilinear", 0.35, 90, "D", 1.942732, 16224, [27, 52, 198, 172], 16224),
    ("bilinear", 0.2, 100, "A", 0.994645, 15958, [49, 29, 224, 147], 15958),
    ("bilinear", 0.2, 100, "B", 0.987934, 19371, [76, 94, 224, 210], 13694),
    ("bilinear", 0.2, 100, "C", 1.000000, 13260, [0, 99, 91, 189], 2937),
    ("bilinear", 0.2, 100, "D", 4.446544, 13328, [31, 57, 187, 167], 13328),
    ("bicubic", 0.35, 90, "A", 0.598469, 15090, [52, 32, 224, 144], 15090),
    ("bicubic", 0.35, 90, "B", 0.577860, 18441, [76, 96, 224, 207], 13195),
    ("bicubic", 0.35, 90, "C", 0.585351, 17315, [36, 52, 224, 224], 6367),
    ("bicubic", 0.35, 90, "D", 2.076078, 15426, [32, 53, 192, 171], 15426),
    ("bicubic", 0.2, 100, "A", 0.999928, 15528, [51, 31, 224, 145], 15528),
    ("bicubic", 0.2, 100, "B", 1.001339, 18555, [76, 96, 224, 207], 13278),
    ("bicubic", 0.2, 100, "C", 1.347667, 15045, [42, 58, 224, 224], 5501),
    ("bicubic", 0.2, 100, "D", 4.552693, 12892, [35, 57, 183, 167], 12892),
]


@pytest.mark.parametrize(("interpolation", "theta", "q", "name", "percentile", "kept", "box", "area"), PAPER)
def test_boxes_of_the_papers_equations(interpolation, theta, q, name, percentile, kept, box, area):
    protocol = fastcam.PAPER.replace(interpolation=interpolation)
    found = at_224(name, protocol, threshold=theta, percentile=q)
    assert np.percentile(found.maps[0].numpy(), q) == pytest.approx(
        percentile, rel=1e-6, abs=6e-7
    )  # six decimals given
    assert found.masks.sum().item() == kept
    assert (found.boxes.tolist(), found.areas.tolist()) == ([box], [area])


WSOLEVAL = {
    "A": ([0, 0, 223, 191], [51, 31, 223, 145], [68, 41, 204, 135], [80, 51, 192, 125], [114, 73, 158, 103]),
    "B": (None, [77, 96, 223, 207], None, None, [45, 45, 67, 67]),
    "D": ([0, 0, 223, 223], [30, 51, 197, 173], [42, 65, 166, 159], [49, 76, 141, 148], [71, 98, 98, 126]),
}


@pytest.mark.parametrize("name", WSOLEVAL)
def test_boxes_of_wsolevaluation(name):
    for tau, box in zip((0, 0.2, 0.35, 0.5, 0.9), WSOLEVAL[name], strict=True):
        if box is not None:
            assert at_224(name, fastcam.WSOLEVAL, threshold=tau).boxes.tolist() == [box]


@pytest.mark.parametrize(
    ("fill", "box"),
    [(0, [0, 0, 0, 0]), (1, [0, 0, 223, 223]), ("pixel", [20, 10, 21, 11])],
    ids=["zeros", "ones", "one"],
)
def test_edges_of_wsolevaluation(fill, box):
    # It takes maps that are normalized already; to normalize a constant one would make it zeros.
    heat = torch.zeros(224, 224)
    heat[10, 20] = 1
    heat = heat if fill == "pixel" else torch.full((224, 224), float(fill))
    protocol = fastcam.WSOLEVAL.replace(normalize="none")
    assert fastcam.boxes_from_maps(heat, protocol=protocol).boxes.tolist() == [box]


@pytest.mark.parametrize("protocol", [fastcam.AUTHORS, fastcam.WSOLEVAL, fastcam.PAPER, fastcam.VANILLA])
def test_a_constant_map_keeps_nothing_once_normalized(protocol):
    found = fastcam.boxes_from_maps(torch.full((1, 5, 7), 0.5), protocol=protocol)
    whole = protocol.normalize == "none" or protocol.empty == "image"
    assert found.boxes.tolist() == [[0, 0, 7, 5] if whole else [0, 0, 0, 0]]
    assert found.areas.tolist() == [35 if protocol.normalize == "none" else 0]


def features_of(maps):
    return torch.stack(list(maps.values()))[:, None]


def assert_consistent(found, protocol):
    """Thresholds, masks and boxes follow from the maps by NumPy's own arithmetic and the reference."""
    for i, (full, mask) in enumerate(zip(found.maps, found.masks, strict=True)):
        with np.errstate(over="ignore"):
            reference = np.percentile(full.numpy(), protocol.percentile)
            wanted = (
                int(protocol.threshold * reference) if protocol.quantize else np.float32(protocol.threshold) * reference
            )
        assert found.thresholds[i].numpy() == wanted
        np.testing.assert_array_equal(mask.numpy(), full.numpy() > wanted)
        largest = components.largest(mask.numpy(), protocol.area, protocol.connectivity)
        if largest is None:
            assert found.areas[i] == 0
            continue
        assert found.boxes[i].tolist()[:2] == [largest.x0, largest.y0]
        if protocol.box_end == "exclusive":
            assert found.boxes[i].tolist()[2:] == [largest.x1, largest.y1]
        assert found.areas[i] == (largest.polygon if protocol.area == "polygon" else largest.pixels)


@pytest.mark.parametrize("q", PERCENTILES)
@pytest.mark.parametrize(("source", "size"), RESIZES, ids=str)
def test_thresholds_are_numpys_percentile_bit_for_bit(source, size, q):
    features = features_of(heat_maps(*source, seed=7))
    weight = torch.ones(len(features), 1)
    for name in ("PAPER", "VANILLA", "AUTHORS", "WSOLEVAL"):
        protocol = getattr(fastcam, name).replace(percentile=q)
        options = {"size": size, "protocol": protocol}
        found = fastcam.localize(features, weight, **options, return_maps=True, return_masks=True)
        assert found.maps.shape == found.masks.shape == (len(features), *size)
        assert found.maps.dtype == (torch.uint8 if protocol.quantize else torch.float32)
        assert_consistent(found, protocol)
        plain = fastcam.localize(features, weight, **options)
        assert (plain.maps, plain.masks) == (None, None)
        for field in ("boxes", "areas", "thresholds"):
            assert torch.equal(getattr(plain, field), getattr(found, field))


@pytest.mark.parametrize("normalize", ["minmax", "max", "percentile"])
def test_normalized_maps_are_numpys(normalize):
    features = features_of({k: m for k, m in heat_maps(7, 7).items() if k not in ("zero", "negative zero", "constant")})
    weight, size = torch.ones(len(features), 1), (40, 50)
    options = {"size": size, "return_maps": True}
    plain = fastcam.localize(features, weight, **options, protocol=fastcam.PAPER).maps.numpy()
    found = fastcam.localize(features, weight, **options, protocol=fastcam.PAPER.replace(normalize=normalize)).maps
    levels = fastcam.PAPER.replace(normalize=normalize, quantize=True)
    quantized = fastcam.localize(features, weight, **options, protocol=levels).maps
    for i, one in enumerate(plain):
        wide = one.astype(np.float64)
        if normalize == "minmax":
            wanted = (wide - wide.min()) / (wide.max() - wide.min())
        else:
            by = wide.max() if normalize == "max" else np.float64(np.percentile(one, 90))
            wanted = (wide / by).clip(0, 1) if by > 0 else np.zeros_like(wide)
        np.testing.assert_array_equal(found[i].numpy(), wanted.astype(np.float32))
        np.testing.assert_array_equal(quantized[i].numpy(), (wanted * 255).astype(np.uint8))


def by_hand(features, weight, index, size, protocol):
    return located(activation.cam(features, weight, index, protocol.clamp_negative), size, protocol)


FIELDS = {
    "clamp_negative": (True, False),
    "quantize": (False, True),
    "percentile": (87.5, 100),
    "threshold": (0.0, 0.35),
    "area": ("pixels", "polygon"),
    "connectivity": (4, 8),
    "box_end": ("exclusive", "clipped"),
    "empty": ("zeros", "image"),
}


@pytest.mark.parametrize("normalize", ["none", "minmax", "max", "percentile"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_every_combination_of_fields(interpolation, normalize):
    kinds = {**heat_maps(4, 3), **broken_maps(4, 3)}
    maps = torch.stack(
        [kinds[name] for name in ("smooth", "noise", "zero", "three levels", "negative", "nan", "infinity")]
    )
    features = torch.stack((maps, maps.flip(0)), 1)
    weight, index = torch.tensor([[1.0, -0.5], [0.5, 1]]), torch.arange(len(maps)) % 2
    for values in product(*FIELDS.values()):
        chosen = dict(zip(FIELDS, values, strict=True), interpolation=interpolation, normalize=normalize)
        protocol = fastcam.Protocol(**chosen)
        options = {"size": (7, 9), "protocol": protocol, "return_maps": True, "return_masks": True}
        found = fastcam.localize(features, weight, index, **options)
        boxes, areas, thresholds, full, masks = by_hand(features, weight, index, (7, 9), protocol)
        assert torch.equal(found.boxes, boxes), chosen
        assert found.areas.tolist() == areas.tolist(), chosen
        assert torch.equal(found.masks, masks), chosen
        for a, b in ((found.thresholds, thresholds), (found.maps, full)):
            torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_features_of_any_width_and_layout(layout, dtype):
    features = torch.rand(3, 5, 6, 7, generator=torch.Generator().manual_seed(0)).to(dtype)
    weight, index = torch.rand(4, 5, generator=torch.Generator().manual_seed(1)), torch.tensor([2, 0, 3])
    found = fastcam.localize(LAYOUTS[layout](features), weight.to(dtype), index, size=(30, 40), return_maps=True)
    boxes, areas, thresholds, full, _ = by_hand(features, weight.to(dtype), index, (30, 40), fastcam.PAPER)
    assert torch.equal(found.boxes, boxes)
    assert torch.equal(found.thresholds, thresholds)
    assert torch.equal(found.maps, full)
    assert found.areas.tolist() == areas.tolist()


def test_results_have_the_documented_types():
    found = fastcam.localize(torch.rand(2, 3, 4, 4), torch.rand(5, 3), [1, 4], size=(8, 9))
    assert (found.boxes.shape, found.boxes.dtype) == ((2, 4), torch.float32)
    assert (found.areas.dtype, found.thresholds.dtype, found.labels.dtype) == (torch.int64, torch.float32, torch.int64)
    assert (found.labels.tolist(), found.scores, len(found)) == ([1, 4], None, 2)
    found = fastcam.localize(torch.rand(2, 3, 4, 4), torch.rand(2, 3), size=(8, 9), protocol=fastcam.AUTHORS)
    assert (found.areas.dtype, found.labels) == (torch.float64, None)


def test_the_two_numbers_override_the_protocols():
    features, weight = torch.rand(2, 3, 4, 4), torch.rand(2, 3)
    found = fastcam.localize(features, weight, size=(8, 8), percentile=100, threshold=0.5, return_masks=True)
    wanted = fastcam.localize(
        features, weight, size=(8, 8), protocol=fastcam.PAPER.replace(percentile=100, threshold=0.5), return_masks=True
    )
    for field in dataclasses.fields(found):
        a, b = getattr(found, field.name), getattr(wanted, field.name)
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b in (None, False, 8, (8, 8))
