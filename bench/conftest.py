"""What `pytest bench` adds to pytest-benchmark: one thread, the `--full` grid, and the ratio table at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from machine import describe
from pytest_benchmark.fixture import BenchmarkFixture
from row import Row, measure, use_threads
from table import report

_MEASURED = pytest.StashKey[list[dict[str, Any]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="the whole benchmark grid, with more rounds")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    items[:] = [item for item in items if not item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left_out)


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:  # noqa: ARG001
    machine_info["fastcam"] = describe()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    measured = config.stash.get(_MEASURED, [])
    if measured:
        document = {"machine_info": {"fastcam": describe()}, "benchmarks": [{"extra_info": one} for one in measured]}
        terminalreporter.section("fastcam beside the tools of today")
        terminalreporter.write_line(report(document))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    use_threads(1)
    yield
    use_threads(before)


@pytest.fixture
def keep(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Iterator[BenchmarkFixture]:
    """pytest-benchmark's fixture; what it is told as `extra_info` goes into the table."""
    yield benchmark
    if benchmark.extra_info and not benchmark.disabled:
        request.config.stash.setdefault(_MEASURED, []).append(dict(benchmark.extra_info))


@pytest.fixture
def measured(keep: BenchmarkFixture, request: pytest.FixtureRequest) -> Callable[[Row], None]:
    """Measures a row."""
    return lambda row: measure(row, keep, full=request.config.getoption("--full"))
