"""After an allocation of the core has failed, the same call is right: every allocation of every operation."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import allocations
import pytest

from fastcam.ops.core import core

HERE = Path(__file__).parent
PATIENCE = 60  # seconds; the longest call takes a few hundredths of one
RAISED = 1  # the exit status of a process that ends with an exception

pytestmark = [
    pytest.mark.skipif(core is None, reason="built without the core"),
    pytest.mark.skipif(sys.platform != "linux" or not shutil.which("c++"), reason="needs c++ and Linux's loader"),
    pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer takes the allocator's place"),
]


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """The library that lets allocations fail."""
    built = tmp_path_factory.mktemp("library") / "failing_allocations.so"
    source = HERE / "failing_allocations.cpp"
    subprocess.run(["c++", "-std=c++20", "-O1", "-shared", "-fPIC", source, "-o", built, "-ldl"], check=True)
    return built


def answers(command, environment):
    """The lines that a process prints, None for one that takes too long; then its exit status."""
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        lines = queue.Queue()

        def read():
            for line in process.stdout:
                lines.put(line.strip())
            lines.put(process.wait())

        threading.Thread(target=read, daemon=True).start()
        try:
            while not isinstance(line := lines.get(timeout=PATIENCE), int):
                yield line
            yield line
        except queue.Empty:
            yield None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the forked child too


def tally(failing, build, threads, share):
    """What came of every failure, and a list of those that went wrong. After a hang or a crash the next one is tried.

    Of the operations only one in ``share`` is taken.
    """
    environment = {
        **os.environ,
        "LD_PRELOAD": str(failing),
        "OMP_NUM_THREADS": "2",
    }
    outcomes, bad, at = Counter(), [], (0, 0)
    while True:
        command = [sys.executable, allocations.__file__, build, threads, *map(str, (share, *at))]
        began = False
        for line in answers(command, environment):
            if line == "end":
                return outcomes, bad
            if line is None or isinstance(line, int):
                assert began, f"{command} ended with {line} before its first call"
                assert line != RAISED, f"{command} raised outside of the call whose allocation failed"
                kind = "hung" if line is None else "crashed"
                outcomes[kind] += 1
                bad.append((kind, at))
                at = (at[0], at[1] + 1)
                break
            if line[0].isdigit():
                number, k = line.split()
                at, began = (int(number), int(k)), True
            else:
                outcomes[line.split(":")[0].split()[0]] += 1
                bad += [(line, at)] if line.startswith("wrong") else []


def assert_right(failing, build, threads, share=1):
    outcomes, bad = tally(failing, build, threads, share)
    injected = outcomes.total() - outcomes["none"]
    print(f"\n{build}, {threads}: {injected} allocations failed, {dict(outcomes)}")  # noqa: T201
    assert injected > 0
    assert bad == []


def test_after_a_failed_allocation_the_same_call_is_right(failing):
    assert_right(failing, core.core(), "2", share=9)


@pytest.mark.long
@pytest.mark.parametrize("build", core.cores() if core is not None else [])
@pytest.mark.parametrize("threads", ["1", "2", "forked"])
def test_after_any_failed_allocation_the_same_call_is_right(failing, build, threads):
    assert_right(failing, build, threads)
