"""What a measurement was made on, and with what."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from fastcam.ops.core import core

__all__ = ["cores", "describe"]

_PACKAGES: Final = {
    "fastcam": "fastcam",
    "torch": "torch",
    "numpy": "numpy",
    "opencv": "opencv-python-headless",
    "torchmetrics": "torchmetrics",
    "scipy": "scipy",
    "cc3d": "connected-components-3d",
}


def describe() -> dict[str, str]:
    """The processor, its cores, the instruction set in use, versions and date."""
    return {
        "processor": _processor(),
        "cores": str(cores()),
        "instruction set": core.core() if core is not None else "none: the reference",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: _version(package) for name, package in _PACKAGES.items()},
        "threads": "1 unless said",
        "date": datetime.now(timezone.utc).date().isoformat(),
    }


def _processor() -> str:
    """The model's name, with the family where Linux tells it: virtual machines cut the name short."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    told = {name.strip(): value.strip() for name, value in fields.items()}
    if "model name" not in told:
        return platform.machine()
    cache = f", {told['cache size']} cache" if "cache size" in told else ""
    return f"{told['model name']} (family {told.get('cpu family', '?')}, model {told.get('model', '?')}{cache})"


def cores() -> int:
    """The processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
