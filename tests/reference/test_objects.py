"""Components with the values of their map, and which of them are boxes: by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fastcam import PAPER
from fastcam.reference.objects import chosen, objects

MAP = np.array([[5, 5, 0, 1], [0, 0, 0, 3], [0, 2, 0, 0]], np.float32)


def test_values_under_each_component():
    found = objects(MAP, MAP > 0, 4)
    assert [(one.component.pixels, one.peak, one.mean) for one in found] == [(2, 5, 5), (2, 3, 2), (1, 2, 2)]


def test_diagonal_pixels_are_one_component_of_eight():
    values = np.array([[1, 0], [0, 4]], np.float32)
    assert [(one.component.pixels, one.peak, one.mean) for one in objects(values, values > 0)] == [(2, 4, 2.5)]
    assert [one.peak for one in objects(values, values > 0, 4)] == [1, 4]


AREAS, SCORES = np.array([4.0, 9, 9, 1, 2]), np.array([3.0, 1, 2, 9, 9])
MAPS = np.array([0, 0, 0, 2, 2])


@pytest.mark.parametrize(
    ("fields", "rows"),
    [
        ({}, [1, 2, 0, 4, 3]),
        ({"area": "polygon"}, [2, 1, 0, 4, 3]),
        ({"order": "highest"}, [0, 2, 1, 3, 4]),
        ({"order": "highest", "area": "polygon"}, [0, 2, 1, 3, 4]),
        ({"max_boxes": 1}, [1, 4]),
        ({"max_boxes": 2, "order": "highest"}, [0, 2, 3, 4]),
        ({"min_area": 2}, [1, 2, 0, 4]),
        ({"min_area": 5}, [1, 2]),
        ({"min_area": 10}, []),
    ],
    ids=str,
)
def test_which_are_boxes(fields, rows):
    assert chosen(AREAS, SCORES, MAPS, PAPER.replace(keep="all", **fields)).tolist() == rows
