"""The compiled core ``fastcam._C``, or None where the package was built without it."""

from __future__ import annotations

try:
    from fastcam import _C as core
except ImportError:
    core = None  # type: ignore[assignment]

__all__ = ["core"]
