"""Protocols: their fields, their names, and what they refuse."""

from __future__ import annotations

import dataclasses
import math
import pickle
import warnings

import numpy as np
import pytest

import fastcam
from fastcam import AUTHORS, PAPER, VANILLA, WSOLEVAL, Protocol

TABLE = {
    "clamp_negative": (True, True, False),
    "interpolation": ("bilinear", "bicubic", "bicubic"),
    "normalize": ("none", "minmax", "minmax"),
    "quantize": (False, True, True),
    "percentile": (90, 90, 100),
    "threshold": (0.35, 0.35, 0.2),
    "area": ("pixels", "polygon", "polygon"),
    "connectivity": (8, 8, 8),
    "box_end": ("exclusive", "exclusive", "clipped"),
    "empty": ("zeros", "image", "zeros"),
    "iou": ("half-open", "inclusive", "inclusive"),
    "keep": ("largest", "largest", "largest"),
    "scores": ("peak", "peak", "peak"),
    "order": ("largest", "largest", "largest"),
    "min_area": (0, 0, 0),
    "max_boxes": (None, None, None),
    "high_threshold": (None, None, None),
    "base_percentile": (45, 45, 45),
}


@pytest.mark.parametrize("field", TABLE)
def test_the_named_protocols_are_those_of_the_papers(field):
    assert tuple(getattr(protocol, field) for protocol in (PAPER, AUTHORS, WSOLEVAL)) == TABLE[field]


def test_the_table_has_every_field():
    assert list(TABLE) == [field.name for field in dataclasses.fields(Protocol)]


def test_the_default_is_the_paper():
    assert Protocol() == PAPER


def test_vanilla_is_the_paper_without_its_techniques():
    assert PAPER.replace(clamp_negative=False, percentile=100, threshold=0.2) == VANILLA


def test_a_protocol_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PAPER.threshold = 0.5


def test_a_protocol_survives_pickling_and_hashing():
    assert pickle.loads(pickle.dumps(AUTHORS)) == AUTHORS
    assert len({PAPER, AUTHORS, WSOLEVAL, VANILLA, Protocol()}) == 4


def test_its_values_are_those_of_its_fields_in_order():
    assert AUTHORS.values == (
        *(True, "bicubic", "minmax", True, 90.0, 0.35),
        *("polygon", 8, "exclusive", "image", "inclusive"),
        *("largest", "peak", "largest", 0.0, None),
        *(None, 45.0),
    )
    assert AUTHORS.replace(threshold=0.5).values[5] == 0.5


def test_replace_gives_a_changed_copy():
    changed = PAPER.replace(percentile=95, area="polygon")
    assert (changed.percentile, changed.area, changed.threshold) == (95, "polygon", 0.35)
    assert PAPER.percentile == 90


def test_replace_names_the_unknown_field_and_the_known_ones():
    with pytest.raises(TypeError, match=r"no field theta; its fields are clamp_negative, .*, threshold, "):
        PAPER.replace(theta=0.2)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"interpolation": "cubic"}, ValueError, "interpolation must be one of 'bilinear', 'bicubic', got 'cubic'"),
        ({"interpolation": None}, ValueError, "interpolation must be .* got None"),
        ({"normalize": "min-max"}, ValueError, "normalize must be one of 'none', 'minmax', .*, got 'min-max'"),
        ({"area": "pixel"}, ValueError, "area must be one of 'pixels', 'polygon', got 'pixel'"),
        ({"box_end": "inclusive"}, ValueError, "box_end must be one of 'exclusive', 'clipped', got 'inclusive'"),
        ({"empty": "none"}, ValueError, "empty must be one of 'zeros', 'image', got 'none'"),
        ({"iou": "closed"}, ValueError, "iou must be one of 'half-open', 'inclusive', got 'closed'"),
        ({"connectivity": 6}, ValueError, "connectivity must be one of 4, 8, got 6"),
        ({"connectivity": 8.0}, ValueError, "connectivity must be one of 4, 8, got 8.0"),  # the operators take integers
        ({"connectivity": True}, ValueError, "connectivity must be one of 4, 8, got True"),
        ({"clamp_negative": 1}, TypeError, "clamp_negative must be a bool, got 1"),
        ({"quantize": "yes"}, TypeError, "quantize must be a bool, got 'yes'"),
        ({"percentile": "90"}, TypeError, "percentile must be a number, got '90'"),
        ({"percentile": None}, TypeError, "percentile must be a number, got None"),
        ({"percentile": True}, TypeError, "percentile must be a number, got True"),
        ({"percentile": -1}, ValueError, r"percentile must lie in \[0, 100\], got -1"),
        ({"percentile": 100.5}, ValueError, r"percentile must lie in \[0, 100\], got 100.5"),
        ({"percentile": math.nan}, ValueError, r"percentile must lie in \[0, 100\], got nan"),
        ({"percentile": math.inf}, ValueError, r"percentile must lie in \[0, 100\], got inf"),
        ({"threshold": -0.1}, ValueError, r"threshold must lie in \[0, 1\], got -0.1"),
        ({"threshold": 1.01}, ValueError, r"threshold must lie in \[0, 1\], got 1.01"),
        ({"threshold": math.nan}, ValueError, r"threshold must lie in \[0, 1\], got nan"),
        ({"threshold": [0.2]}, TypeError, r"threshold must be a number, got \[0.2\]"),
    ],
    ids=str,
)
def test_a_field_out_of_range_is_named(fields, error, message):
    for make in (lambda: Protocol(**fields), lambda: PAPER.replace(**fields)):
        with pytest.raises(error, match=message):
            make()


@pytest.mark.parametrize(("fraction", "hint"), [(0.9, 90), (0.995, 99.5), (1, 100), (1.0, 100), (1e-3, 0.1)])
def test_a_percentile_that_looks_like_a_fraction_is_refused_with_a_hint(fraction, hint):
    with pytest.raises(ValueError, match=f"percentile is in percent, .* did you mean {hint}\\?"):
        Protocol(percentile=fraction)


@pytest.mark.parametrize("percentile", [0, 1.5, 50, 79.999])
def test_a_percentile_below_the_papers_range_warns(percentile):
    with pytest.warns(UserWarning, match=rf"percentile={percentile} is below the range \[80, 100\]"):
        Protocol(percentile=percentile)


@pytest.mark.parametrize("percentile", [80, 80.0, 100, 99.99])
def test_a_percentile_in_the_papers_range_does_not_warn(percentile):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Protocol(percentile=percentile)


@pytest.mark.parametrize("threshold", [0, 1, 0.0, 1.0])
def test_a_threshold_may_be_either_end(threshold):
    assert Protocol(threshold=threshold).threshold == threshold


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.float64])
def test_numbers_of_numpy_are_numbers(kind):
    # As of `for q in np.arange(80, 101)`.
    assert Protocol(percentile=kind(90), threshold=kind(1)) == Protocol(percentile=90, threshold=1)


def test_the_warning_points_at_who_chose_the_percentile():
    with pytest.warns(UserWarning, match="percentile") as caught:
        Protocol(percentile=50)
    assert caught[0].filename == __file__


def test_its_text_is_the_call_that_makes_it():
    assert eval(repr(AUTHORS), {"Protocol": fastcam.Protocol}) == AUTHORS
