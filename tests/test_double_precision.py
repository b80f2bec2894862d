"""Maps in float64 are worked on in float64, by every way in: against NumPy, PyTorch's resize, SciPy and OpenCV."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch._subclasses.fake_tensor import FakeTensorMode

import fastcam
from fastcam import AUTHORS, PAPER, VANILLA, WSOLEVAL
from fastcam.extractors import LinearExtraction, MapExtraction
from fastcam.localization import localize_maps
from fastcam.metrics import EnergyInBox, PointingGame, PxAP, sweep
from fastcam.ops import masks as masks_ops
from fastcam.ops.localization import localize, locate
from fastcam.ops.score_maps import _histogram_any_device, score_histogram

NAMED = {"PAPER": PAPER, "VANILLA": VANILLA, "AUTHORS": AUTHORS, "WSOLEVAL": WSOLEVAL}
ALL = {"return_maps": True, "return_masks": True}


def random_maps(count, side, seed):
    """Maps (N, side, side) float64: smooth ones and noise, on offsets and in units that float32 does not hold."""
    rng = np.random.default_rng(seed)
    maps = np.stack([ndimage.gaussian_filter(rng.standard_normal((side, side)), i % 3) for i in range(count)])
    offset = rng.choice([0, 0, 1e6, -1e8], count)
    return torch.from_numpy((maps + offset[:, None, None]) * 10.0 ** rng.choice([0, -60, -290, 200], (count, 1, 1)))


def resized(maps, size, interpolation):
    if maps.shape[1:] == size:
        return maps.numpy()
    return torch.nn.functional.interpolate(maps[:, None], size, mode=interpolation, align_corners=False)[:, 0].numpy()


def normalized(full, protocol):
    """One map (H, W), by NumPy."""
    if protocol.normalize == "none":
        return full
    if protocol.normalize == "minmax":
        return (full - full.min()) / (full.max() - full.min()) if full.max() > full.min() else 0 * full
    by = full.max() if protocol.normalize == "max" else np.percentile(full, protocol.percentile)
    return (full / by).clip(0, 1) if by > 0 else 0 * full


def box_and_area(mask, protocol):
    """Of the largest component of a mask (H, W), by SciPy; its polygon area by OpenCV."""
    height, width = mask.shape
    labels, count = ndimage.label(mask, np.ones((3, 3)) if protocol.connectivity == 8 else None)
    if not count:
        return ([0, 0, width, height] if protocol.empty == "image" else [0, 0, 0, 0]), 0
    if protocol.area == "polygon":
        cv2 = pytest.importorskip("cv2")
        contours = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        largest = max(contours, key=cv2.contourArea)
        label, area = labels[largest[0, 0, 1], largest[0, 0, 0]], cv2.contourArea(largest)
    else:
        counts = np.bincount(labels.ravel())[1:]
        label, area = counts.argmax() + 1, counts.max()
    ys, xs = ndimage.find_objects(labels)[label - 1]
    x1, y1 = xs.stop, ys.stop
    if protocol.box_end == "clipped":
        x1, y1 = min(x1, width - 1), min(y1, height - 1)
    return [xs.start, ys.start, x1, y1], area


def assert_is_numpys(found, maps, size, protocol):
    """The map to the rounding of float64; threshold, mask, area and box exactly, each from what was before it."""
    assert found.thresholds.dtype == torch.float64
    assert found.maps.dtype == (torch.uint8 if protocol.quantize else torch.float64)
    for i, full in enumerate(resized(maps, size, protocol.interpolation)):
        wanted, map_found = normalized(full, protocol), found.maps[i].numpy()
        # A value has the digits that its own size leaves it, an offset included; normalized, in units of these.
        units = {
            "none": 1,
            "minmax": np.ptp(full),
            "max": full.max(),
            "percentile": np.percentile(full, protocol.percentile),
        }
        rounding = 5e-14 * np.abs(full).max() / np.abs(units[protocol.normalize])
        if protocol.quantize:
            levels = wanted.clip(0, 1) * 255
            clear = np.abs(levels - np.rint(levels)) > 255 * rounding
            np.testing.assert_array_equal(map_found[clear], levels.astype(np.uint8)[clear])
            threshold = int(protocol.threshold * np.percentile(map_found, protocol.percentile))
        else:
            assert np.abs(map_found - wanted).max() <= rounding
            threshold = protocol.threshold * np.percentile(map_found, protocol.percentile)
        assert found.thresholds[i].item() == threshold
        mask = map_found > threshold
        np.testing.assert_array_equal(found.masks[i].numpy(), mask)
        box, area = box_and_area(mask, protocol)
        assert (found.boxes[i].tolist(), found.areas[i].item()) == (box, area)


@pytest.mark.parametrize(("side", "size"), [(14, (224, 224)), (7, (50, 33)), (9, (9, 9)), (28, (10, 13))], ids=str)
@pytest.mark.parametrize("name", NAMED)
def test_named_protocols(name, side, size):
    maps = random_maps(24, side, seed=side)
    assert_is_numpys(localize_maps(maps, None, size=size, protocol=NAMED[name], **ALL), maps, size, NAMED[name])


FIELDS = {
    "interpolation": ("bilinear", "bicubic"),
    "normalize": ("none", "minmax", "max", "percentile"),
    "quantize": (False, True),
    "percentile": (90, 100),
    "area": ("pixels", "polygon"),
    "box_end": ("exclusive", "clipped"),
    "empty": ("zeros", "image"),
}


def test_every_combination_of_fields():
    maps = random_maps(6, 6, seed=1)
    for values in product(*FIELDS.values()):
        protocol = PAPER.replace(**dict(zip(FIELDS, values, strict=True)))
        assert_is_numpys(localize_maps(maps, None, size=(19, 23), protocol=protocol, **ALL), maps, (19, 23), protocol)
    protocol = PAPER.replace(connectivity=4)
    assert_is_numpys(localize_maps(maps, None, size=(19, 23), protocol=protocol, **ALL), maps, (19, 23), protocol)


BUMP = np.exp(-((np.mgrid[:28, :28] - 14.0) ** 2).sum(0) / 40)
MOVED = {"+1e6": BUMP + 1e6, "+1e8": BUMP + 1e8, "-1e6": BUMP - 1e6, "over the whole range": (2 * BUMP - 1) * 1.7e308}
SCALED = {f"*{by:g}": BUMP * by for by in (1e-50, 1e-300, 1e39, 1e300, 1.7e308, 2.0**-1000)}
# What a normalization does not see; without one, a factor moves the threshold as it does the map.
UNSEEN = [
    *((name, protocol) for name in (*MOVED, *SCALED) for protocol in ("AUTHORS", "WSOLEVAL")),
    *((name, protocol) for name in SCALED for protocol in ("PAPER", "VANILLA", "max", "percentile")),
]
DOORS = {
    "boxes_from_maps, array": lambda m, **options: fastcam.boxes_from_maps(m, **options),
    "boxes_from_maps, tensor": lambda m, **options: fastcam.boxes_from_maps(torch.from_numpy(m)[None, None], **options),
    "boxes_from_maps, list": lambda m, **options: fastcam.boxes_from_maps([m, BUMP[:20].astype(np.float32)], **options),
    "localize": lambda m, **options: fastcam.localize(
        torch.from_numpy(m)[None, None], torch.ones(1, 1).double(), [0], **options
    ),
    "localize, a size an image": lambda m, size, **options: fastcam.localize(
        torch.from_numpy(m)[None, None], torch.ones(1, 1).double(), size=[size], **options
    ),
    "LinearExtraction": lambda m, **options: LinearExtraction(
        torch.ones(1, 1), torch.zeros(1, dtype=torch.int64), (28, 28), torch.from_numpy(m)[None, None], torch.ones(1, 1)
    ).localize(**options),
    "MapExtraction": lambda m, **options: MapExtraction(
        torch.ones(1, 1), torch.zeros(1, dtype=torch.int64), (28, 28), torch.from_numpy(m)[None]
    ).localize(**options),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("name", "protocol"), UNSEEN)
def test_an_offset_or_a_factor_that_float64_holds_does_not_move_the_box(name, protocol, door):
    chosen = NAMED.get(protocol) or PAPER.replace(normalize=protocol)
    full = resized(torch.from_numpy(BUMP)[None], (224, 224), chosen.interpolation)[0]
    plain = normalized(full, chosen)
    plain = (plain.clip(0, 1) * 255).astype(np.uint8) if chosen.quantize else plain
    wanted = box_and_area(plain > chosen.threshold * np.percentile(plain, chosen.percentile), chosen)[0]
    found = DOORS[door](({**MOVED, **SCALED})[name], size=(224, 224), protocol=chosen)
    assert found.boxes[0].tolist() == wanted


@pytest.mark.parametrize("normalize", ["none", "minmax", "max", "percentile"])
@pytest.mark.parametrize("quantize", [False, True])
def test_broken_maps(quantize, normalize):
    maps = torch.from_numpy(BUMP).repeat(6, 1, 1)
    maps[0, 3, 4] = torch.nan
    maps[1] = torch.nan
    maps[2, 0, 0], maps[3, 0, 0], maps[4] = torch.inf, -torch.inf, torch.inf
    protocol = PAPER.replace(quantize=quantize, normalize=normalize)
    found = localize_maps(maps, None, size=(56, 56), protocol=protocol, **ALL)
    assert found.boxes[[0, 1, 4]].tolist() == [[0, 0, 0, 0]] * 3
    assert not found.masks[[0, 1, 4]].any()
    if normalize == "none":
        assert found.thresholds[:2].isnan().all()
    else:
        assert found.maps[:5].count_nonzero() == 0  # not defined, so zeros
    assert found.areas[5] > 0


def test_subnormal_maps_are_numpys():
    maps = torch.from_numpy(np.stack([BUMP * 1e-310, BUMP * 1e-321]))
    for protocol in (AUTHORS, VANILLA):
        chosen = protocol.replace(interpolation="bilinear", quantize=False)
        found = localize_maps(maps, None, size=(28, 28), protocol=chosen, **ALL)
        for i, one in enumerate(maps.numpy()):
            wanted = normalized(one, chosen)
            np.testing.assert_array_equal(found.maps[i], wanted)
            threshold = chosen.threshold * np.percentile(wanted, chosen.percentile)
            assert found.boxes[i].tolist() == box_and_area(wanted > threshold, chosen)[0]


def test_values_near_the_top_come_back_as_they_were():
    maps = torch.from_numpy(np.stack([BUMP * 1.7e308, (1 - 2 * BUMP) * 1e308]))
    assert torch.equal(localize_maps(maps, None, size=(28, 28), **ALL).maps, maps)
    found = localize_maps(maps, None, size=(56, 60), **ALL).maps
    wanted = resized(maps / 16, (56, 60), "bilinear") * 16
    np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e294)


def test_metrics_of_values_near_the_top_are_those_of_smaller_ones():
    small = torch.randn(3, 9, 9, generator=torch.Generator().manual_seed(0)).double()
    small *= 1.99 / small.abs().amax((1, 2), keepdim=True)
    large = small * 2.0**1023
    assert (large.amax((1, 2)) - large.amin((1, 2))).isinf().any()
    truth, size = [[[3, 4, 20, 25]]] * 3, (30, 31)
    found, wanted = sweep(large, truth, size=size), sweep(small, truth, size=size)
    for name in ("maxima", "iou", "boxes", "iou_of_any"):
        assert torch.equal(getattr(found, name), getattr(wanted, name))
    assert (found.maxima == 255).all()
    masks = torch.zeros(3, *size, dtype=torch.uint8)
    masks[:, 4:20, 3:25] = 1
    for make, given in ((PxAP, (masks,)), (PointingGame, (truth,)), (EnergyInBox, (truth,))):
        one, other = make(), make()
        one.update(large, *given, size=size)
        other.update(small, *given, size=size)
        assert one.compute() == other.compute()
    edges = torch.tensor([*np.arange(0, 1, 0.1), 1, 2, 3], dtype=torch.float64)
    counts = score_histogram(large, masks, edges, True)[0]
    assert torch.equal(counts, score_histogram(small, masks, edges, True)[0])
    assert torch.equal(counts, _histogram_any_device(large, masks, edges, True)[0])


def test_several_classes_and_sizes():
    features, weight = random_maps(12, 6, seed=3).reshape(3, 4, 6, 6), random_maps(1, 4, seed=4)[0]
    features, weight = features / features.abs().amax((2, 3), keepdim=True), weight.abs()
    index, sizes = torch.tensor([[0, 3], [2, 2], [1, 0]]), [(20, 31), (6, 6), (20, 31)]
    found = fastcam.localize(features, weight, index, size=sizes, **ALL)
    assert found.boxes.shape == (3, 2, 4)
    for i, t in product(range(3), range(2)):
        one = torch.einsum("c,chw->hw", weight[index[i, t]], features[i])
        wanted = localize_maps(one[None], None, size=sizes[i], **ALL)
        assert found.boxes[i, t].tolist() == wanted.boxes[0].tolist()
        torch.testing.assert_close(found.maps[i][t], wanted.maps[0], rtol=1e-13, atol=1e-13)
        assert found.maps[i].dtype == torch.float64
    together = fastcam.localize(features, weight, index, size=(20, 31), **ALL)
    assert torch.equal(together.boxes[0], found.boxes[0])
    assert torch.equal(together.maps[2], found.maps[2])


@pytest.mark.parametrize("shape", [(0, 4, 5), (0, 2, 4, 5), (3, 0, 4, 5)], ids=str)
def test_no_maps(shape):
    found = localize_maps(torch.ones(shape).double(), None, size=(8, 9), **ALL)
    assert (found.boxes.shape, found.maps.shape) == ((*shape[:-2], 4), (*shape[:-2], 8, 9))
    assert (found.maps.dtype, found.thresholds.dtype) == (torch.float64, torch.float64)


@pytest.mark.parametrize("offset", [0, 1e6])
def test_the_box_is_that_of_the_metrics_at_every_threshold(offset):
    pytest.importorskip("torchmetrics")
    from fastcam.metrics import sweep

    rng = np.random.default_rng(0)
    maps = ndimage.gaussian_filter(rng.standard_normal((30, 14, 14)), (0, 1, 1)) + offset
    swept = sweep(maps, [[[0, 0, 223, 223]]] * len(maps), size=(224, 224))
    for threshold in (0, 0.2, 0.45, 0.9):
        entries = swept.entries(np.array([threshold]))
        wanted = swept.boxes[torch.arange(len(maps)), entries[:, 0]]
        protocol = WSOLEVAL.replace(threshold=threshold)
        assert torch.equal(fastcam.boxes_from_maps(maps, size=(224, 224), protocol=protocol).boxes, wanted.float())


def test_what_was_promised_before_a_run_is_what_comes():
    features, weight = torch.rand(2, 3, 4, 5).double(), torch.rand(6, 3).double()
    index = torch.tensor([[1, 2], [0, 5]])
    for dtype, values in product((torch.float64, torch.float32), (PAPER.values, AUTHORS.values)):
        some = features.to(dtype), weight.to(dtype), index
        with FakeTensorMode() as mode:
            fake = [mode.from_tensor(one) for one in some]
            promised = [
                *localize(*fake, 9, 70, *values, True, True),
                *locate(fake[0][:, 0], 9, 70, *values, True, True),
            ]
        found = [*localize(*some, 9, 70, *values, True, True), *locate(some[0][:, 0], 9, 70, *values, True, True)]
        for a, b in zip(promised, found, strict=True):
            assert (a.dtype, a.shape, a.stride()) == (b.dtype, b.shape, b.stride())


class Located(torch.nn.Module):
    def forward(self, maps):
        found = localize_maps(maps, None, size=(9, 70), return_maps=True, return_masks=True)
        return found.boxes, found.areas, found.thresholds, found.maps, found.masks


def test_it_compiles_and_exports_whole():
    maps = random_maps(5, 6, seed=2)
    wanted = Located()(maps)
    compiled = torch.compile(Located(), fullgraph=True, backend="eager")(maps)
    exported = torch.export.export(Located(), (maps,)).module()(maps)
    for found in (compiled, exported):
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_memory_does_not_grow_with_the_number_of_maps(monkeypatch):
    pixels = []

    def counted(maps, size, protocol, *rule, kept=masks_ops.reference.kept):
        pixels.append(len(maps) * size[0] * size[1])
        return kept(maps, size, protocol, *rule)

    monkeypatch.setattr(masks_ops.reference, "kept", counted)
    maps = random_maps(70, 4, seed=5)
    found = localize_maps(maps, None, size=(224, 224))
    assert sum(pixels) == 70 * 224 * 224
    assert max(pixels) <= 2**18
    alone = [localize_maps(one[None], None, size=(224, 224)).boxes for one in maps]
    assert torch.equal(found.boxes, torch.cat(alone))
