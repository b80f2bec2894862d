"""What may be handed to ``localize``, what comes back in which shape, and what is refused."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from cases import broken_maps, heat_maps

import fastcam

FEATURES = torch.rand(3, 5, 6, 7, generator=torch.Generator().manual_seed(0)) - 0.3
WEIGHT = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
INDEX = [[2, 0], [3, 3], [1, 0]]
ALL = {"return_maps": True, "return_masks": True}


def assert_same(found, wanted):
    for field in dataclasses.fields(found):
        a, b = getattr(found, field.name), getattr(wanted, field.name)
        if isinstance(a, list):
            assert all(map(torch.equal, a, b))
        elif isinstance(a, (int, tuple)):
            assert a == b
        else:
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a is b is None


def columns(found, t):
    """Of results (N, T, ...) what was found for the t-th class of every image."""

    def of(part):
        if isinstance(part, list):
            return [one[t] for one in part]
        return part[:, t] if isinstance(part, torch.Tensor) else part

    return fastcam.Localization(*(of(getattr(found, field.name)) for field in dataclasses.fields(found)))


@pytest.mark.parametrize("size", [(20, 31), [(20, 31), (6, 7), (20, 31)]], ids=["one size", "a size an image"])
@pytest.mark.parametrize("protocol", [fastcam.PAPER, fastcam.AUTHORS])
def test_several_classes_are_each_found_as_if_alone(protocol, size):
    found = fastcam.localize(FEATURES, WEIGHT, INDEX, size=size, protocol=protocol, **ALL)
    assert found.boxes.shape == (3, 2, 4)
    assert found.areas.shape == found.thresholds.shape == found.labels.shape == (3, 2)
    for t in range(2):
        index = [row[t] for row in INDEX]
        wanted = fastcam.localize(FEATURES, WEIGHT, index, size=size, protocol=protocol, **ALL)
        assert_same(columns(found, t), wanted)


@pytest.mark.parametrize("protocol", [fastcam.PAPER, fastcam.AUTHORS])
def test_a_size_an_image_gives_what_each_image_gives_alone(protocol):
    sizes = [(20, 31), (1, 1), (50, 12)]
    found = fastcam.localize(FEATURES, WEIGHT, [2, 3, 1], size=sizes, protocol=protocol, **ALL)
    assert isinstance(found.maps, list)
    assert isinstance(found.masks, list)
    for i, (label, size) in enumerate(zip([2, 3, 1], sizes, strict=True)):
        alone = fastcam.localize(FEATURES[i : i + 1], WEIGHT, [label], size=size, protocol=protocol, **ALL)
        assert torch.equal(found.boxes[i], alone.boxes[0])
        assert (found.areas[i], found.thresholds[i]) == (alone.areas[0], alone.thresholds[0])
        assert torch.equal(found.maps[i], alone.maps[0])
        assert torch.equal(found.masks[i], alone.masks[0])


def test_a_size_an_image_may_be_the_same_for_all():
    found = fastcam.localize(FEATURES, WEIGHT, 2, size=[(20, 31)] * 3, **ALL)
    wanted = fastcam.localize(FEATURES, WEIGHT, 2, size=(20, 31), **ALL)
    assert torch.equal(found.boxes, wanted.boxes)
    assert torch.equal(torch.stack(found.maps), wanted.maps)


@pytest.mark.parametrize("protocol", [fastcam.PAPER, fastcam.AUTHORS, fastcam.WSOLEVAL])
def test_an_image_gives_the_same_alone_and_in_a_batch(protocol):
    maps = torch.cat([torch.stack(list(heat_maps(14, 14, seed).values())) for seed in range(5)])
    features = torch.stack((maps, maps.roll(1, 0)), 1)
    options = {"size": (60, 90), "protocol": protocol, **ALL}
    together = fastcam.localize(features, torch.ones(len(maps), 2), **options)
    for i in range(len(maps)):
        alone = fastcam.localize(features[i : i + 1], torch.ones(1, 2), **options)
        for field in ("boxes", "areas", "thresholds", "maps", "masks"):
            assert torch.equal(getattr(alone, field)[0], getattr(together, field)[i])


@pytest.mark.parametrize("size", [(8, 9), []], ids=["one size", "a size an image"])
def test_no_images(size):
    found = fastcam.localize(FEATURES[:0], WEIGHT, [], size=size, **ALL)
    assert (found.boxes.shape, found.areas.shape, found.labels.shape) == ((0, 4), (0,), (0,))
    assert len(found.maps) == len(found.masks) == len(found) == 0
    assert (found.to_coco(), found.to_torchmetrics()) == ([], [])
    several = fastcam.localize(FEATURES[:0], WEIGHT, torch.zeros(0, 3, dtype=torch.int64), size=size, **ALL)
    assert several.boxes.shape == (0, 3, 4)


@pytest.mark.parametrize("size", [(8, 9), [(8, 9), (5, 5), (8, 9)]], ids=["one size", "a size an image"])
def test_no_classes(size):
    found = fastcam.localize(FEATURES, WEIGHT, torch.zeros(3, 0, dtype=torch.int64), size=size, **ALL)
    assert (found.boxes.shape, found.areas.shape, found.labels.shape) == ((3, 0, 4), (3, 0), (3, 0))
    assert len(found.maps) == 3
    assert found.to_coco() == []
    assert [one["boxes"].shape for one in found.to_torchmetrics()] == [(0, 4)] * 3


def test_a_single_pixel():
    found = fastcam.localize(torch.ones(2, 3, 1, 1), torch.ones(2, 3), size=(1, 1), **ALL)
    assert found.boxes.tolist() == [[0, 0, 1, 1]] * 2
    assert found.areas.tolist() == [1, 1]


@pytest.mark.parametrize("normalize", ["none", "minmax", "max", "percentile"])
@pytest.mark.parametrize("quantize", [False, True])
@pytest.mark.parametrize("empty", ["zeros", "image"])
def test_a_map_with_a_nan_gives_an_empty_box(empty, quantize, normalize):
    maps = broken_maps(5, 6)
    features = torch.stack([maps["nan"], maps["all nan"], heat_maps(5, 6)["smooth"]])[:, None]
    protocol = fastcam.PAPER.replace(normalize=normalize, quantize=quantize, empty=empty)
    found = fastcam.localize(features, torch.ones(3, 1), size=(20, 30), protocol=protocol, **ALL)
    assert found.boxes[:2].tolist() == [[0, 0, 30, 20] if empty == "image" else [0, 0, 0, 0]] * 2
    assert found.areas[:2].tolist() == [0, 0]
    assert not found.masks[:2].any()
    assert found.areas[2] > 0
    if normalize == "none":
        assert found.thresholds[:2].isnan().all()
    else:
        assert found.maps[:2].count_nonzero() == 0


@pytest.mark.parametrize("name", ["infinity", "minus infinity", "both infinite", "all infinite"])
@pytest.mark.parametrize("protocol", [fastcam.PAPER, fastcam.VANILLA, fastcam.AUTHORS, fastcam.WSOLEVAL])
@pytest.mark.parametrize("size", [(5, 6), (40, 50)], ids=str)
def test_a_map_with_infinities_never_gives_a_box_outside_the_image(size, protocol, name):
    features = broken_maps(5, 6)[name][None, None]
    x0, y0, x1, y1 = fastcam.localize(features, torch.ones(1, 1), size=size, protocol=protocol).boxes[0].tolist()
    assert 0 <= x0 <= x1 <= size[1]
    assert 0 <= y0 <= y1 <= size[0]


def test_a_channel_that_counts_nothing_may_hold_anything():
    wanted = fastcam.localize(FEATURES, WEIGHT.clamp(min=0), [0, 1, 2], size=(30, 30), **ALL)
    for i, label in enumerate([0, 1, 2]):
        assert (WEIGHT[label] < 0).any()
        features = FEATURES.clone()
        features[i, WEIGHT[label] < 0] = torch.nan
        found = fastcam.localize(features, WEIGHT, [0, 1, 2], size=(30, 30), **ALL)
        assert_same(found, wanted)


def test_nothing_flows_back_and_nothing_is_changed():
    features, weight = FEATURES.clone().requires_grad_(), torch.nn.Parameter(WEIGHT.clone())
    found = fastcam.localize(features, weight, 1, size=(6, 7), protocol=fastcam.PAPER, **ALL)
    assert not any(part.requires_grad for part in (found.boxes, found.thresholds, found.maps))
    found.maps.zero_()  # of the features' own size, yet nobody else's memory
    assert torch.equal(features, FEATURES)
    assert torch.equal(weight, WEIGHT)


@pytest.mark.parametrize("options", [{}, {"percentile": 95}, {"protocol": fastcam.AUTHORS, **ALL}], ids=str)
def test_it_compiles_whole_and_finds_the_same(options):
    def found(features):
        result = fastcam.localize(features, WEIGHT[:3], size=(20, 31), **options)
        return result.boxes, result.thresholds, result.maps

    compiled = torch.compile(found, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(FEATURES), found(FEATURES), rtol=0, atol=0)


BAD = [
    ({"size": 224}, TypeError, r"size must be \(H, W\), or one .* 3 images, got 224"),
    ({"size": (0, 5)}, ValueError, r"size must be .* at least 1 .* got \(0, 5\)"),
    ({"size": [(5, 5), (6, 6)]}, ValueError, "size must be .* 3 images, got 2 of them"),
    ({"size": (22.4, 5)}, TypeError, r"size must be .* in whole pixels, got \[22.4, 5\]"),
    ({"protocol": "PAPER"}, TypeError, "protocol must be a fastcam.Protocol, got 'PAPER'"),
    ({"protocol": None}, TypeError, "protocol must be a fastcam.Protocol, got None"),
    ({"percentile": 101}, ValueError, r"percentile must lie in \[0, 100\], got 101"),
    ({"percentile": -0.5}, ValueError, r"percentile must lie in \[0, 100\], got -0.5"),
    ({"percentile": math.nan}, ValueError, r"percentile must lie in \[0, 100\], got nan"),
    ({"percentile": 0.9}, ValueError, "percentile is in percent, .* did you mean 90?"),
    ({"percentile": "90"}, TypeError, "percentile must be a number, got '90'"),
    ({"threshold": -0.1}, ValueError, r"threshold must lie in \[0, 1\], got -0.1"),
    ({"threshold": 1.5}, ValueError, r"threshold must lie in \[0, 1\], got 1.5"),
    ({"threshold": [0.2, 0.3]}, TypeError, r"threshold must be a number, got \[0.2, 0.3\]"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_a_bad_option_is_named(options, error, message):
    with pytest.raises(error, match=message):
        fastcam.localize(FEATURES, WEIGHT, 0, **{"size": (8, 8), **options})


def test_a_low_percentile_warns():
    with pytest.warns(UserWarning, match=r"percentile=50 is below the range \[80, 100\]"):
        fastcam.localize(FEATURES, WEIGHT, 0, size=(8, 8), percentile=50)


def test_size_cannot_be_forgotten():
    with pytest.raises(TypeError, match="size"):
        fastcam.localize(FEATURES, WEIGHT, 0)


@pytest.mark.parametrize("shape", [(0,), (0, 0), (0, 3)])
@pytest.mark.parametrize("size", [[], (4, 4)])
def test_no_images_and_no_classes(shape, size):
    found = fastcam.localize(
        torch.zeros(0, 2, 3, 3),
        torch.zeros(5, 2),
        torch.zeros(shape, dtype=torch.int64),
        size=size,
        return_maps=True,
        return_masks=True,
    )
    assert found.boxes.shape == (*shape, 4)
    assert found.areas.shape == found.labels.shape == shape
    assert len(found.maps) == len(found.masks) == 0
