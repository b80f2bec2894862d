"""The kernels from maps to packed masks against the reference, bit for bit."""

from __future__ import annotations

import math
import struct

import pytest
import torch
from cases import RESIZES, broken_maps, heat_maps, score_map
from fastcam.kernels import masks as kernel

from fastcam import AUTHORS, PAPER


def some(maps, device, *names):
    return torch.stack([maps[name] for name in names or maps]).to(device)


def test_maps_of_every_kind(device, assert_binarizes_as_reference):
    assert_binarizes_as_reference(some(heat_maps(6, 7), device), (19, 30), PAPER)


def test_without_the_maps(device, assert_binarizes_as_reference):
    assert_binarizes_as_reference(some(heat_maps(7, 7), device, "smooth"), (40, 130), AUTHORS, with_maps=False)


@pytest.mark.parametrize("protocol", [PAPER, AUTHORS], ids=["PAPER", "AUTHORS"])
def test_a_map_at_the_size_of_a_photograph(protocol, device, assert_binarizes_as_reference):
    assert_binarizes_as_reference(score_map("B")[None].to(device), (224, 224), protocol)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_map_shared_by_programs(interpolation, n, device, monkeypatch, assert_binarizes_as_reference):
    monkeypatch.setattr(kernel, "_PROGRAMS", 7)  # 2 or 7 for a map
    maps = some(heat_maps(9, 4), device, "smooth", "one peak", "negative")[:n]
    assert_binarizes_as_reference(maps, (70, 130), PAPER.replace(interpolation=interpolation))


@pytest.mark.long
@pytest.mark.parametrize(("source", "size"), RESIZES, ids=str)
def test_everything(source, size, device, assert_binarizes_as_reference):
    maps = some({**heat_maps(*source), **broken_maps(*source)}, device)
    for interpolation in ("bilinear", "bicubic"):
        for normalize, quantize in (("none", False), ("minmax", True), ("percentile", True), ("max", False)):
            for q, threshold in ((90, 0.35), (95.25, 0), (100, 0.2)):
                chosen = PAPER.replace(interpolation=interpolation, normalize=normalize, quantize=quantize)
                assert_binarizes_as_reference(maps, size, chosen.replace(percentile=q, threshold=threshold))


@pytest.mark.parametrize("number", [0.0, 0.35, 1.0, math.pi])
def test_a_number_travels_as_its_bits(number):
    assert struct.unpack("<d", struct.pack("<q", kernel.bits_of(number)))[0] == number
