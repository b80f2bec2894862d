"""Two threads against one."""

from __future__ import annotations

from itertools import cycle

import pytest
from machine import cores
from maps import classifier, features, packed_in_turn
from row import Contender, Row

import fastcam

pytestmark = pytest.mark.skipif(cores() < 2, reason="needs two processors")


def with_one_and_two(functions):
    """Each with two threads, then with one."""
    return [
        Contender(f"{name}, {threads} thread{'s' * (threads > 1)}", "fastcam", function, threads)
        for name, function in functions.items()
        for threads in (2, 1)
    ]


@pytest.mark.parametrize("data", ["smooth", "noise 0.5"])
def test_boxes(data, measured):
    packed = packed_in_turn(data, 256, 224)
    entrants = with_one_and_two({"whole": lambda: fastcam.boxes_from_masks(next(packed))})
    measured(Row("two threads", "largest box, packed", data, "224x224", 256, entrants))


def test_one_large_mask(measured):
    packed = packed_in_turn("noise 0.5", 1, 4096)
    entrants = with_one_and_two({"whole": lambda: fastcam.boxes_from_masks(next(packed))})
    measured(Row("two threads", "largest box, packed", "noise 0.5", "4096x4096", 1, entrants))


@pytest.mark.parametrize("data", ["smooth", "noisy"])
def test_localize(data, measured):
    images, channels, side, size = 256, 1024, 14, (224, 224)
    turn = cycle(features(data, images, channels, side))
    weight, index = classifier(images, channels)
    maps = fastcam.cam(next(turn), weight, index)
    entrants = with_one_and_two(
        {
            "whole": lambda: fastcam.localize(next(turn), weight, index, size=size),
            "map": lambda: fastcam.cam(next(turn), weight, index),
            "compute": lambda: fastcam.boxes_from_maps(maps, size=size),
            "read": lambda: next(turn).sum(),
        }
    )
    into = f"{side}x{side}x{channels} to {size[0]}x{size[1]}"
    measured(Row("two threads", "localize, PAPER", data, into, images, entrants))
