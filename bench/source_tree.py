"""Makes ``fastcam`` and ``fastcam.kernels`` importable from a source tree, where the package is not installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

__all__ = ["ROOT"]

ROOT = Path(__file__).resolve().parents[1]
if find_spec("fastcam") is None:
    sys.path.insert(0, str(ROOT))
if find_spec("fastcam.kernels") is None:  # in a source tree they lie beside the package
    import fastcam

    fastcam.__path__.append(str(ROOT))
