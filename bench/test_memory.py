"""The peak memory of `localize`, in maps of the full size for each thread."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("memory.py")


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux alone tells the peak of a stretch")
@pytest.mark.parametrize("data", ["smooth", "noisy"])
@pytest.mark.parametrize("protocol", ["PAPER", "AUTHORS"])
@pytest.mark.parametrize("threads", [1, 2])
def test_memory_of_localize(threads, protocol, data, keep):
    # A process for each: what one call leaves in the allocator's hands would hide what the next one takes.
    options = ["--threads", str(threads), "--protocol", protocol, "--data", data]

    def run():
        command = [sys.executable, str(SCRIPT), *options]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)

    keep.group = "memory"
    told = {
        "group": "memory",
        "what": f"memory of localize, {protocol}",
        "data": data,
        "size": "14x14 to 1024x1024",
        "images": 256,
    }
    keep.extra_info.update(told | {"threads": threads} | keep.pedantic(run))
