"""Boxes from the heat maps of other libraries, in every form in which they give them."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import heat_maps, score_map, smooth_maps

import fastcam
from fastcam.localization import localize_maps

MAPS = torch.stack([m for seed in range(3) for m in heat_maps(14, 12, seed).values()])
POSITIVE = smooth_maps(6, (14, 12), seed=0).clamp(0, 1)


def wanted(maps, size, protocol=fastcam.PAPER):
    """The same by way of localize, with each map as the one channel of its features."""
    return fastcam.localize(maps[:, None], torch.ones(len(maps), 1), size=size, protocol=protocol)


def assert_same(found, other):
    for field in ("boxes", "areas", "thresholds"):
        assert torch.equal(getattr(found, field), getattr(other, field))


@pytest.mark.parametrize("protocol", [fastcam.PAPER, fastcam.VANILLA, fastcam.AUTHORS, fastcam.WSOLEVAL])
@pytest.mark.parametrize("size", [(14, 12), (56, 33)], ids=str)
def test_boxes_are_those_of_localize(size, protocol):
    found = fastcam.boxes_from_maps(MAPS, size=size, protocol=protocol)
    assert_same(found, wanted(MAPS, size, protocol))
    assert (found.labels, found.scores, found.maps, found.masks) == (None, None, None, None)


def test_the_size_is_the_maps_own_by_default():
    assert_same(fastcam.boxes_from_maps(MAPS), wanted(MAPS, (14, 12)))


def test_nothing_is_clamped():
    heat = torch.full((1, 6, 6), -2.0)
    heat[0, 2:4, 1:5] = 3
    assert fastcam.boxes_from_maps(heat).boxes.tolist() == [[1, 2, 5, 4]]


FORMS = {
    "tensor": lambda m: m,
    "array": lambda m: m.numpy(),
    "one channel": lambda m: m[:, None],
    "array of one channel": lambda m: m.numpy()[:, None],
    "list of maps of one channel": lambda m: [m[:4, None], m[4:, None]],
    "one layer of torch-cam": lambda m: [m],
    "masked array that hides nothing": lambda m: np.ma.masked_array(m.numpy(), mask=False),
    "memory that is shared": lambda m: np.lib.stride_tricks.as_strided(m.numpy(), m.shape, m.numpy().strides),
    "Fortran's order": lambda m: np.asfortranarray(m.numpy()),
    "big-endian array": lambda m: m.numpy().astype(">f4"),
    "strided tensor": lambda m: m.mT.contiguous().mT,
    "array read backwards": lambda m: m.numpy()[:, ::-1].copy()[:, ::-1],
    "read-only array": lambda m: np.frombuffer(m.numpy().tobytes(), np.float32).reshape(m.shape),
    "tensor with gradient": lambda m: m.clone().requires_grad_(),
    "list of one map each": list,
    "tuple of one array each": lambda m: tuple(m.numpy()),
    "list of batches": lambda m: [m[:4], m[4:]],
    "tensors and arrays": lambda m: [m[:3], *m[3:].numpy()],
}


@pytest.mark.parametrize("form", FORMS)
def test_maps_in_any_form(form):
    for size in (None, (30, 40)):
        assert_same(fastcam.boxes_from_maps(FORMS[form](MAPS), size=size), wanted(MAPS, size or (14, 12)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(dtype):
    half = POSITIVE.to(dtype)
    assert_same(fastcam.boxes_from_maps(half), wanted(half.float(), (14, 12)))
    if dtype == torch.float16:
        assert_same(fastcam.boxes_from_maps(half.numpy()), wanted(half.float(), (14, 12)))


@pytest.mark.parametrize(
    "protocol", [fastcam.PAPER, fastcam.AUTHORS, fastcam.PAPER.replace(normalize="max", quantize=True)]
)
def test_bytes_count_as_their_values(protocol):
    levels = (POSITIVE * 255).to(torch.uint8)
    for form in (levels, levels.numpy(), list(levels)):
        assert_same(fastcam.boxes_from_maps(form, protocol=protocol), wanted(levels.float(), (14, 12), protocol))


def test_bytes_where_levels_are_made_of_fractions_are_refused():
    protocol = fastcam.PAPER.replace(quantize=True)
    with pytest.raises(ValueError, match=r"takes maps in \[0, 1\], got uint8 maps; divide them by 255"):
        fastcam.boxes_from_maps(torch.ones(1, 3, 3, dtype=torch.uint8), protocol=protocol)


def test_maps_of_different_sizes_keep_their_order_and_size():
    maps = [score_map("A"), score_map("C"), score_map("B"), score_map("D").numpy(), POSITIVE[:2]]
    found = fastcam.boxes_from_maps(maps)
    alone = [fastcam.boxes_from_maps(one) for one in maps]
    assert torch.equal(found.boxes, torch.cat([one.boxes for one in alone]))
    assert torch.equal(found.areas, torch.cat([one.areas for one in alone]))
    found = fastcam.boxes_from_maps(maps, size=(50, 60))
    assert torch.equal(found.boxes, torch.cat([fastcam.boxes_from_maps(one, size=(50, 60)).boxes for one in maps]))
    sizes = [(20 + i, 30 - i) for i in range(6)]
    found = fastcam.boxes_from_maps(maps, size=sizes)
    every = [*maps[:4], *POSITIVE[:2]]
    alone = [fastcam.boxes_from_maps(one, size=at).boxes for one, at in zip(every, sizes, strict=True)]
    assert torch.equal(found.boxes, torch.cat(alone))


def test_one_map_is_a_batch_of_one():
    assert_same(fastcam.boxes_from_maps(MAPS[2]), fastcam.boxes_from_maps(MAPS[2:3]))


NONE = {
    "tensor": torch.ones(0, 4, 5),
    "array": np.ones((0, 4, 5)),
    "list": [],
    "list of an empty batch": [torch.ones(0, 4, 5)],
    "list of empty batches of two sizes": [torch.ones(0, 4, 5), torch.ones(0, 6, 5)],
}


@pytest.mark.parametrize("maps", NONE.values(), ids=NONE)
@pytest.mark.parametrize("protocol", [fastcam.PAPER, fastcam.AUTHORS])
@pytest.mark.parametrize("size", [None, (8, 8)], ids=str)
def test_no_maps(size, protocol, maps):
    found = fastcam.boxes_from_maps(maps, size=size, protocol=protocol)
    assert (found.boxes.shape, found.areas.shape, found.thresholds.shape) == ((0, 4), (0,), (0,))
    assert found.areas.dtype == (torch.float64 if protocol.area == "polygon" else torch.int64)


@pytest.mark.parametrize("make", [torch.from_numpy, np.asarray], ids=["tensor", "array"])
def test_what_float32_cannot_hold_is_held(make):
    found = fastcam.boxes_from_maps(make(np.full((1, 3, 3), 1e300)))
    assert (found.boxes.tolist(), found.areas.tolist()) == ([[0, 0, 3, 3]], [9])
    assert found.thresholds.tolist() == [0.35 * 1e300]


@pytest.mark.skipif(np.dtype("longdouble").itemsize == 8, reason="long double is float64 here")
def test_long_double_counts_as_float64():
    heat = np.zeros((2, 4, 5), np.longdouble)
    heat[0, 1:3, 2:4] = heat[1] = 1 + np.longdouble(2) ** -60
    heat[1, 0, 0] = np.longdouble("1e4000")  # infinite in float64: nothing exceeds a part of it
    found = fastcam.boxes_from_maps(heat, protocol=fastcam.VANILLA)
    assert (found.boxes.tolist(), found.thresholds.dtype) == ([[2, 1, 4, 3], [0, 0, 0, 0]], torch.float64)


@pytest.mark.parametrize("dtype", [np.float64, ">f8", np.float16, np.float32])
def test_a_list_of_several_widths_gives_what_each_gives_alone(dtype):
    maps = [one.astype(dtype) for one in (POSITIVE.numpy()[:3] + 1e-9)] + [POSITIVE[3], POSITIVE[4].half()]
    found = fastcam.boxes_from_maps(maps, size=(50, 60))
    alone = [fastcam.boxes_from_maps(one, size=(50, 60)) for one in maps]
    for field in ("boxes", "areas", "thresholds"):
        assert torch.equal(getattr(found, field), torch.cat([getattr(one, field) for one in alone]))


@pytest.mark.parametrize("channel", [False, True])
@pytest.mark.parametrize("images", [1, 2, 7])
@pytest.mark.parametrize("make", [list, tuple])
def test_maps_of_several_layers_are_not_taken_for_images(make, images, channel):
    # As torch-cam gives them: a tensor (N, h, w) for each layer, of whatever size.
    shape = (images, 1) if channel else (images,)
    layers = make([torch.rand(*shape, 14, 14), torch.rand(*shape, 7, 7).numpy()])
    message = f"got a list of 2 batches of {images}, which could be the maps of as many layers; fuse"
    with pytest.raises(ValueError, match=message):
        fastcam.boxes_from_maps(layers)
    with pytest.raises(ValueError, match=message):
        fastcam.boxes_from_maps(layers, size=(56, 56))
    # What the message advises.
    assert len(fastcam.boxes_from_maps(layers[0])) == images
    every = [one for batch in layers for one in batch]
    assert len(fastcam.boxes_from_maps([one[0] if channel else one for one in every])) == 2 * images


def hiding():
    heat = np.ma.masked_array(np.ones((1, 3, 3)), mask=False)
    heat[0, 1, 1] = np.ma.masked
    return heat


BAD = [
    (torch.ones(1, 3, 3, dtype=torch.bool), {}, TypeError, "maps must be floating point or uint8, got torch.bool"),
    (torch.ones(1, 3, 3, dtype=torch.int64), {}, TypeError, "maps must be floating point or uint8, got torch.int64"),
    (np.ones((1, 3, 3), int), {}, TypeError, "maps must be floating point or uint8, got int64"),
    (np.ones((1, 3, 3), complex), {}, TypeError, "maps must be floating point or uint8, got complex128"),
    ([torch.ones(3, 3), torch.ones(3, 3).int()], {}, TypeError, "maps must be floating .* got torch.int32"),
    (torch.ones(1, 3, 3, 3), {}, ValueError, r"maps must be .* got shape \(1, 3, 3, 3\); .* as with maps.sum\(1\)"),
    (torch.ones(1, 0, 3, 3), {}, ValueError, r"maps must be .* got shape \(1, 0, 3, 3\)"),
    (torch.ones(1, 1, 1, 3, 3), {}, ValueError, r"maps must be .* got shape \(1, 1, 1, 3, 3\)$"),
    (torch.ones(1, 1, 0, 3), {}, ValueError, r"maps must be .* got shape \(1, 1, 0, 3\)"),
    (torch.ones(3), {}, ValueError, r"\(N, h, w\), \(N, 1, h, w\) or \(h, w\) .* got shape \(3,\)"),
    (np.float32(3), {}, TypeError, "maps must be a tensor, an array or a list of them, got float32"),
    (np.ones((3, 3), bool), {}, TypeError, "maps must be floating point or uint8, got bool"),
    (np.full((3, 3), None), {}, TypeError, "maps must be floating point or uint8, got object"),
    (hiding(), {}, ValueError, r"maps must not hide values, .* pass maps.filled\(value\)"),
    ([hiding()[0], hiding()[0]], {}, ValueError, r"maps must not hide values, .* pass maps.filled\(value\)"),
    ({"anomaly_map": MAPS}, {}, TypeError, "maps must be .* got dict; pass the entry that holds the maps"),
    ((MAPS, None), {}, TypeError, "maps must be a tensor, an array or a list of them, got NoneType"),
    (torch.ones(1, 3, 3).to_sparse(), {}, TypeError, "maps must be a dense .* got a torch.sparse_coo one"),
    (torch.ones(1, 3, 3, device="meta"), {}, TypeError, "maps must be a dense tensor .* got a meta one"),
    (torch.ones(2, 0, 3), {}, ValueError, r"maps must be .* h and w at least 1, got shape \(2, 0, 3\)"),
    (None, {}, TypeError, "maps must be a tensor, an array or a list of them, got NoneType"),
    ("maps", {}, TypeError, "maps must be a tensor, an array or a list of them, got str"),
    ([[0.0, 1.0]], {}, TypeError, "maps must be a tensor, an array or a list of them, got list"),
    (MAPS[:2], {"size": (0, 3)}, ValueError, r"size must be .* at least 1 .* got \(0, 3\)"),
    (MAPS[:2], {"size": [(4, 3)] * 3}, ValueError, "size must be .* 2 images, got 3 of them"),
    (list(MAPS[:2]), {"size": 224}, TypeError, "size must be .* 2 images, got 224"),
    (MAPS[:2], {"protocol": "PAPER"}, TypeError, "protocol must be a fastcam.Protocol, got 'PAPER'"),
]


@pytest.mark.parametrize(("maps", "options", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_a_bad_argument_is_named(maps, options, error, message):
    with pytest.raises(error, match=message):
        fastcam.boxes_from_maps(maps, **options)


@pytest.mark.filterwarnings("ignore:.*deprecated:UserWarning")
def test_quantized_maps_are_refused():
    with pytest.raises(TypeError, match="maps must be floating point or uint8, got"):
        fastcam.boxes_from_maps(torch.quantize_per_tensor(torch.ones(3, 3), 0.1, 0, torch.quint8))


LAYOUTS = {
    "torch.sparse_csr": lambda m: m.to_sparse_csr(),
    "torch._mkldnn": lambda m: m.to_mkldnn(),
    "nested": lambda m: torch.nested.nested_tensor([m, m]),
    "nested, jagged": lambda m: torch.nested.nested_tensor([m, m], layout=torch.jagged),
}


# PyTorch says that some of these are prototypes.
@pytest.mark.filterwarnings("ignore:.*(prototype|in beta):UserWarning")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("door", [fastcam.boxes_from_maps, lambda maps: localize_maps(maps, None, size=(3, 3))])
def test_tensors_without_values_at_strides_are_refused(door, layout):
    if layout == "torch._mkldnn" and not torch.backends.mkldnn.is_available():
        pytest.skip("PyTorch without MKL-DNN")
    with pytest.raises(TypeError, match=f"maps must be a dense tensor with values, got a {layout.split(',')[0]} one"):
        door(LAYOUTS[layout](torch.ones(3, 3)))


def test_the_page_about_maps_of_other_libraries_says_what_happens():
    page = Path(__file__).parents[1] / "docs" / "maps.md"
    failed, attempted = doctest.testfile(str(page), module_relative=False)
    assert attempted >= 10
    assert failed == 0
