"""The core's protocol: the same names and words as fastcam.Protocol, and a refusal that names what is wrong."""

from __future__ import annotations

import dataclasses

import pytest

import fastcam
from fastcam.ops.core import core
from fastcam.protocol import NAMED

if core is None:
    pytest.skip("built without the core", allow_module_level=True)


def keywords(protocol):
    return {name: getattr(protocol, name) for name in core.Protocol.fields}


def test_its_fields_are_fields_of_the_protocol():
    known = [field.name for field in dataclasses.fields(fastcam.Protocol)]
    assert [name for name in known if name in core.Protocol.fields] == list(core.Protocol.fields)


@pytest.mark.parametrize("name", NAMED)
def test_it_takes_every_named_protocol(name):
    core.Protocol(**keywords(NAMED[name]))


@pytest.mark.parametrize("field", core.Protocol.fields)
def test_every_field_is_asked_for(field):
    given = keywords(fastcam.PAPER)
    del given[field]
    with pytest.raises(TypeError, match=field):
        core.Protocol(**given)


def test_an_unknown_field_is_refused():
    with pytest.raises(TypeError, match="no field sharpness"):
        core.Protocol(**keywords(fastcam.PAPER), sharpness=1)


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("area", "polygons", ValueError),
        ("interpolation", "nearest", ValueError),
        ("connectivity", 6, ValueError),
        ("connectivity", "8", ValueError),
        ("normalize", 1, TypeError),
        ("quantize", 1, TypeError),
        ("percentile", "90", TypeError),
    ],
)
def test_an_unknown_value_is_refused(field, value, error):
    with pytest.raises(error, match=f"{field} must be .*, got {value!r}"):
        core.Protocol(**{**keywords(fastcam.PAPER), field: value})
