"""Random cases against other people's code: NumPy, SciPy, OpenCV and PyTorch; and against the reference, bit for bit.

A case is a number. Shapes, strides, dtypes, NaN and infinities, types of index and protocols are drawn from it and
crossed. A failure names the case: ``case(NUMBER)`` runs it again.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import get_args, get_type_hints

import cv2
import numpy as np
import pytest
import torch
from by_reference import located
from cases import LAYOUTS, varied
from scipy import ndimage

import fastcam
from fastcam import Protocol
from fastcam.metrics import PxAP, sweep
from fastcam.ops.core import core
from fastcam.reference import activation
from fastcam.reference import components as reference_components
from fastcam.reference import sweep as reference_sweep

HALVES = (torch.float16, torch.bfloat16, torch.float32)
INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32, torch.uint32, torch.int64]
FIELDS = {
    name: get_args(hint)
    for name, hint in get_type_hints(Protocol).items()
    if get_args(hint)
    and all(isinstance(choice, str) for choice in get_args(hint))
    # What is kept of several boxes is compared in test_objects.py, how boxes are judged with the metrics.
    and name not in ("iou", "keep", "scores", "order")
}


@dataclass
class Draw:
    """What a case is drawn from."""

    plain: random.Random
    numbers: np.random.Generator

    def size(self, most):
        return self.plain.choice([1, 2, self.plain.randint(1, most), self.plain.randint(1, most)])

    def values(self, shape):
        """Float32 numbers of one of several kinds, sometimes with a NaN or an infinity."""
        kind = self.plain.choice(["normal", "rectified", "levels", "constant", "large", "tiny", "broken"])
        values = self.numbers.standard_normal(shape)
        if kind == "rectified":
            values = np.maximum(values, 0)
        elif kind == "levels":
            values = np.round(values)
        elif kind == "constant":
            values = np.full(shape, self.plain.choice([0.0, -0.0, 0.3, -2.0]))
        elif kind in ("large", "tiny"):
            values *= 1e30 if kind == "large" else 1e-39
        elif kind == "broken":
            holes = self.numbers.random(shape) < 0.05
            values[holes] = self.numbers.choice([np.nan, np.inf, -np.inf], holes.sum())
        return torch.from_numpy(values.astype(np.float32))

    def mask(self, shape):
        kind = self.plain.choice(["noise", "blocks", "smooth", "full", "empty"])
        if kind in ("full", "empty"):
            return np.full(shape, kind == "full")
        noise = self.numbers.random(shape)
        if kind == "blocks":
            grain = self.plain.randint(2, 9)
            noise = np.kron(self.numbers.random([-(-side // grain) for side in shape]), np.ones((grain, grain)))
            noise = noise[: shape[0], : shape[1]]
        if kind == "smooth":
            noise = ndimage.gaussian_filter(noise, self.plain.uniform(0.5, 4))
        return noise > np.quantile(noise, self.plain.choice([0.02, 0.3, 0.5, 0.593, 0.8, 0.98]))

    def protocol(self):
        fields = {name: self.plain.choice(choices) for name, choices in FIELDS.items()}
        flags = {name: self.plain.random() < 0.5 for name in ("clamp_negative", "quantize")}
        percentile = self.plain.choice([100, 90, 0, 50, 99.9, self.plain.uniform(1.01, 100)])
        threshold = self.plain.choice([0, 1, 0.2, 0.35, self.plain.random()])
        return varied(Protocol(), **fields, **flags, percentile=percentile, threshold=threshold)


def assert_same(found, wanted):
    assert found.dtype == wanted.dtype
    torch.testing.assert_close(found, wanted, rtol=0, atol=0, equal_nan=True)


def scipy_components(mask, connectivity):
    """Boxes and pixels of all components, in the raster order of first pixels."""
    labels, count = ndimage.label(mask, np.ones((3, 3)) if connectivity == 8 else None)
    first = ndimage.minimum(np.arange(mask.size).reshape(mask.shape), labels, range(1, count + 1)) if count else []
    pixels = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labels)]
    order = np.argsort(first)
    return [list(boxes[i]) for i in order], [int(pixels[i]) for i in order], [labels == i + 1 for i in order]


def opencv_area(component):
    contours, _ = cv2.findContours(component.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.contourArea(contours[0])


def as_given(draw, mask):
    """The mask in one of the forms that are taken."""
    if draw.plain.random() < 0.4:
        packed = fastcam.PackedMasks.pack(mask)
        dirty = packed.bits.clone()
        width = mask.shape[1]
        if width % 64:
            dirty[..., -1] |= torch.tensor(draw.plain.choice([-1, 0x5555555555555555, 1])) << (width % 64)
        return fastcam.PackedMasks(dirty, mask.shape)
    if draw.plain.random() < 0.5:
        return np.ascontiguousarray(mask[::-1, ::-1])[::-1, ::-1]
    values = torch.from_numpy(mask.astype(np.uint8) * np.uint8(draw.plain.choice([1, 128, 255])))
    return draw.plain.choice([torch.from_numpy(mask), values, values.t().contiguous().t()])


def masks_case(draw):
    shape = draw.size(30), draw.plain.choice([draw.size(40), 63, 64, 65, 127, 128, 129, draw.size(300)])
    mask = draw.mask(shape)
    area, connectivity = draw.plain.choice(["pixels", "polygon"]), draw.plain.choice([4, 8])
    options = {"area": area, "connectivity": connectivity}
    every = fastcam.boxes_from_masks(as_given(draw, mask), keep="all", **options)
    largest = fastcam.boxes_from_masks(as_given(draw, mask), **options)
    boxes, areas, components = scipy_components(mask, connectivity)
    if area == "polygon" and connectivity == 8:
        areas = [opencv_area(one) for one in components]
    elif area == "polygon":
        areas = [one.polygon for one in reference_components.components(mask, 4)]
    assert every.boxes.tolist() == boxes
    assert every.areas.tolist() == areas
    # Of equal pixels the first in raster order, of equal polygons the last.
    best = max(areas, default=0)
    at = (len(areas) - 1 - areas[::-1].index(best) if area == "polygon" else areas.index(best)) if areas else None
    assert largest.boxes.tolist() == [boxes[at] if areas else [0, 0, 0, 0]]
    assert largest.areas.tolist() == [best]


def maps_case(draw):
    shape, size = (draw.size(3), draw.size(15), draw.size(15)), (draw.size(40), draw.size(40))
    maps = draw.values(shape).to(draw.plain.choice(HALVES))
    protocol = draw.protocol()
    given = draw.plain.choice([maps, maps.transpose(1, 2).contiguous().transpose(1, 2)])
    found = fastcam.localization.localize_maps(
        given, None, size=size, protocol=protocol, return_maps=True, return_masks=True
    )
    for ours, wanted in zip(
        (found.boxes, found.areas, found.thresholds, found.maps, found.masks),
        located(maps, size, protocol),
        strict=True,
    ):
        assert_same(ours, wanted)
    for one, threshold in zip(found.maps.numpy(), found.thresholds.numpy(), strict=True):
        if protocol.quantize or not np.isfinite(one).all():
            continue
        with np.errstate(all="ignore"):  # differences of large numbers, the same on both sides
            assert threshold == np.float32(protocol.threshold) * np.percentile(one, protocol.percentile)


def index_of(draw, shape, classes):
    """Classes in one of the forms that are taken."""
    index = draw.numbers.integers(0, classes, shape)
    kind = draw.plain.randrange(5)
    if kind == 0:
        return index, index.tolist()
    if kind == 1:
        return index, index.astype(draw.plain.choice(["u1", "<u2", ">u2", ">i4", "<u8", ">i8", "i1"]))
    if kind == 2:
        return index, index[::-1].copy()[::-1]
    if kind == 3:
        index.flags.writeable = False
        return index, index
    return index, torch.tensor(index).to(draw.plain.choice(INTEGERS))


def cam_case(draw):
    n, channels, classes = draw.size(5), draw.size(70), draw.size(9)
    values = draw.values((n, channels, draw.size(9), draw.size(9)))
    weight = torch.from_numpy(draw.numbers.standard_normal((classes, channels))).float()
    weight[draw.numbers.random(weight.shape) < 0.2] = 0
    features = values.to(draw.plain.choice([*HALVES, torch.float64]))
    weight = weight.to(draw.plain.choice([*HALVES, torch.float64]))
    shape = draw.plain.choice([(n,), (n, draw.size(4))])
    plain, index = index_of(draw, shape, classes)
    clamp = draw.plain.random() < 0.5
    found = fastcam.cam(draw.plain.choice(list(LAYOUTS.values()))(features), weight, index, clamp_negative=clamp)
    assert_same(found, activation.cam(features, weight, torch.tensor(plain), clamp))
    if features.isfinite().all():
        rows = weight.double()[torch.tensor(plain)]
        rows = rows.clamp(min=0) if clamp else rows
        letters = "nc,nchw->nhw" if len(shape) == 1 else "ntc,nchw->nthw"
        sums = torch.einsum(letters, rows, features.double())
        bound = torch.einsum(letters, rows.abs(), features.double().abs()) * channels * 2.0**-23 + 1e-37
        assert ((found.double() - sums).abs() <= bound).all()


def sweep_case(draw):
    n, height, width = draw.size(2), draw.size(14), draw.size(20)
    levels = draw.numbers.integers(0, draw.plain.choice([2, 4, 8]), (n, height, width)) * draw.plain.choice([1, 30])
    corners = np.sort(draw.numbers.integers(0, [width, height], (n, draw.size(3), 2, 2)), axis=2).reshape(n, -1, 4)
    swept = sweep(levels / 255 + 1e-9, list(corners))
    for i in range(n):
        wanted = reference_sweep.sweep(levels[i].astype(np.uint8), corners[i].astype(float))
        for ours, theirs in zip((swept.iou, swept.iou_of_any, swept.boxes), wanted, strict=True):
            assert ours[i].tolist() == theirs.tolist()


def scores_case(draw):
    shape, size = (draw.size(3), draw.size(15), draw.size(15)), (draw.size(40), draw.size(40))
    maps = draw.values(shape).clamp(-1e30, 1e30).nan_to_num().double()
    masks = draw.numbers.choice(np.array([0, 1, 255], np.uint8), (shape[0], *size))
    masks[0, 0, 0] = 1
    metric = PxAP(draw.plain.choice([1, 2, 3, 10, 49, 1000]))
    metric.update(maps, masks, size=size)
    counts = np.zeros((2, len(metric.thresholds) + 2), np.int64)
    for one, mask in zip(maps.numpy(), masks, strict=True):
        full = cv2.resize(one, size[::-1], interpolation=cv2.INTER_CUBIC)
        span = full.max() - full.min()
        scores = (full - full.min()) / span if span > 0 else np.zeros(size)
        for kind in (0, 1):
            counts[kind] += np.histogram(scores[mask == kind], np.append(metric.thresholds, [1.0, 2, 3]))[0]
    assert metric.counts.tolist() == counts.tolist()


KINDS = {masks_case: 9, maps_case: 5, cam_case: 3, scores_case: 2, sweep_case: 1}


def case(number):
    """Run a case, and say of which kind it was."""
    draw = Draw(random.Random(number), np.random.default_rng(number))
    kind = draw.plain.choices(list(KINDS), KINDS.values())[0]
    builds = core.cores() if core is not None else []
    before = core.core() if builds else None
    if builds:
        core.choose_core(draw.plain.choice(builds))
    try:
        kind(draw)
    except Exception as error:
        raise AssertionError(f"case({number}), {kind.__name__}") from error
    finally:
        if builds:
            core.choose_core(before)
    return kind.__name__


def test_some_hundred_cases():
    for number in range(400):
        case(number)


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_fifty_thousand_cases(part):
    ran = Counter(case(1_000_000 + 10 * number + part) for number in range(5000))
    print(dict(ran))  # noqa: T201
    assert ran.total() == 5000
