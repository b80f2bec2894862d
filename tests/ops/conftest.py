"""What the tests of operators share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fastcam.ops import activation, components, localization, masks, pooling


@pytest.fixture
def implementation() -> Callable[[str, str], Callable[..., Any]]:
    """Gives what is registered for an operator on "CUDA" or on "any device", which the CPU would not choose."""
    registered = {
        ("cam", "CUDA"): activation._cuda,
        ("binarize", "CUDA"): masks._cuda,
        ("binarize", "any device"): masks._any_device,
        ("largest", "CUDA"): components._cuda,
        ("locate", "any device"): localization._locate_any_device,
        ("localize", "any device"): localization._localize_any_device,
        ("tap", "CUDA"): pooling._cuda,
        ("tap_keeping", "CUDA"): pooling._keeping_cuda,
        ("tap_spread", "CUDA"): pooling._spread_cuda,
    }
    return lambda name, device: registered[name, device]
