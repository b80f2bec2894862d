"""From features to boxes by nothing but the kernels, against the CPU: every named protocol."""

from __future__ import annotations

import pytest
import torch
from cases import broken_maps, heat_maps

from fastcam.ops import components, localization, masks
from fastcam.protocol import NAMED


@pytest.mark.parametrize("name", NAMED)
def test_boxes_are_those_of_the_cpu_to_the_bit(name, device, monkeypatch):
    maps = torch.stack(list({**heat_maps(9, 4), **broken_maps(9, 4)}.values()))[::3]
    options = 33, 70, *NAMED[name].values, True, True
    wanted = localization.locate(maps, *options)
    monkeypatch.setattr(localization, "binarize", masks._cuda)
    monkeypatch.setattr(localization, "largest", components._cuda)
    found = localization._locate_any_device(maps.to(device), *options)
    for part, expected in zip(found, wanted, strict=True):
        torch.testing.assert_close(part.cpu(), expected, rtol=0, atol=0, equal_nan=True)
