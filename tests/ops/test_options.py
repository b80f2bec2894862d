"""A protocol among an operator's arguments, and on its way to the core."""

from __future__ import annotations

import dataclasses
import warnings

import pytest
import torch

from fastcam import PAPER, Protocol
from fastcam.ops.core import core
from fastcam.ops.localization import locate
from fastcam.ops.options import SCHEMA, core_protocol, protocol_of
from fastcam.protocol import NAMED


def test_the_schema_has_the_fields_in_their_order():
    assert SCHEMA == (
        "bool clamp_negative, str interpolation, str normalize, bool quantize, float percentile, float threshold, "
        "str area, int connectivity, str box_end, str empty, str iou, str keep, str scores, str order, float min_area, "
        "int? max_boxes, float? high_threshold, float base_percentile"
    )
    assert [part.split()[1] for part in SCHEMA.split(", ")] == [field.name for field in dataclasses.fields(Protocol)]


@pytest.mark.parametrize("name", NAMED)
def test_a_protocol_comes_back_from_its_values(name):
    assert protocol_of(*NAMED[name].values) == NAMED[name]


def test_a_protocol_is_rebuilt_without_a_second_warning():
    with pytest.warns(UserWarning, match="percentile=50"):
        low = PAPER.replace(percentile=50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert protocol_of(*low.values).percentile == 50


@pytest.mark.skipif(core is None, reason="built without the core")
@pytest.mark.parametrize("name", NAMED)
def test_the_core_takes_every_field_that_it_reads(name):
    names = [field.name for field in dataclasses.fields(Protocol)]
    assert [one for one in names if one in core.Protocol.fields] == list(core.Protocol.fields)
    assert isinstance(core_protocol(*NAMED[name].values), core.Protocol)


@pytest.mark.skipif(core is None, reason="built without the core")
def test_a_word_that_the_core_does_not_know_is_named():
    values = ["cubic" if value == "bilinear" else value for value in PAPER.values]
    with pytest.raises(ValueError, match=r"interpolation must be one of .*, got 'cubic'"):
        locate(torch.ones(1, 2, 2), 4, 4, *values, False, False)
