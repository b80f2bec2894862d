"""The compiled core ``fastcam._C``, or None where the package was built without it, and its names for dtypes."""

from __future__ import annotations

from typing import Final

import torch

try:
    from fastcam import _C as core  # noqa: N811
except ImportError:
    core = None  # type: ignore[assignment]

__all__ = ["DTYPES", "core"]

DTYPES: Final[dict[torch.dtype, int]] = {torch.float32: 0, torch.float64: 1, torch.float16: 2, torch.bfloat16: 3}
