"""A signal ends a long call into the core within a fifth of a second, and the next call is right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import interruptions
import pytest

from fastcam.ops.core import core

# Sanitized code takes many times as long, and its pieces are cut for the speed of code that is not.
SECONDS = 20 if "asan" in os.environ.get("LD_PRELOAD", "") else 0.2
ATTEMPTS = 8  # other processes may have the processors for a while

pytestmark = pytest.mark.skipif(core is None, reason="built without the core")


def interrupted(call, threads):
    command = [sys.executable, interruptions.__file__, call, str(threads)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.split()


@pytest.mark.parametrize("call", interruptions.CALLS)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_ends_a_long_call_and_the_next_one_is_right(call, threads):
    took = []
    for _ in range(ATTEMPTS):
        seconds, outcome = interrupted(call, threads)
        assert outcome == "right"
        took.append(float(seconds))
        if took[-1] < SECONDS:
            return
    pytest.fail(f"{took} seconds from the signal to the exception")


@pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""), reason="the script is run without the sanitized package"
)
def test_a_handler_may_call_the_core_in_the_midst_of_a_call():
    script = """
import signal, torch
from interruptions import sweep

signal.signal(signal.SIGALRM, lambda *_: inner.append(small()))
for threads in (1, 2):
    torch.set_num_threads(threads)
    for large in (sweep(1, 300), sweep(40, 100)):
        small, inner = sweep(4, 60), []
        right = [part.tolist() for part in large()], [part.tolist() for part in small()]
        signal.setitimer(signal.ITIMER_REAL, 0.06, 0.06)
        while len(inner) < 3:
            found = [part.tolist() for part in large()]
            assert found == right[0]
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert all([part.tolist() for part in one] == right[1] for one in inner)
"""
    subprocess.run([sys.executable, "-c", script], cwd=Path(interruptions.__file__).parent, check=True, timeout=120)
