"""Timing several functions side by side, so that their ratios survive a machine whose speed wanders."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter

__all__ = ["Measured", "interleaved"]

_FEWEST_ROUNDS = 5


@dataclass(frozen=True)
class Measured:
    """Seconds a call of each function, one value a round, and the calls a value is the mean of."""

    seconds: dict[str, list[float]]
    calls: dict[str, int]

    def median(self, name: str) -> float:
        """The median seconds a call."""
        return median(self.seconds[name])

    def ratio(self, name: str, other: str) -> float:
        """How many times longer ``name`` takes than ``other``: the median of the rounds' ratios."""
        return median(a / b for a, b in zip(self.seconds[name], self.seconds[other], strict=True))


def interleaved(
    functions: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 15,
    min_seconds: float = 0.005,
    max_seconds: float = 4.0,
    fewest_calls: int = 1,
    before: Callable[[str], None] | None = None,
    seed: int = 0,
) -> Measured:
    """Measure every function once a round, in an order shuffled anew for each.

    Args:
        functions: what to time, by name.
        rounds: how many; fewer, but at least five, where they would take longer than ``max_seconds`` in all.
        min_seconds: a measurement repeats its call until it takes about this long.
        max_seconds: see ``rounds``.
        fewest_calls: a measurement makes at least this many calls.
        before: called with the name before each measurement, outside of it.
        seed: of the orders.
    """
    ready = before or (lambda _: None)
    calls = {}
    for name, function in functions.items():
        ready(name)
        function()
        calls[name] = max(fewest_calls, round(min_seconds / max(_timed(function, 1), 1e-9)), 1)
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    order = list(functions)
    shuffle = random.Random(seed).shuffle
    collecting = gc.isenabled()
    gc.disable()
    try:
        start = perf_counter()
        for number in range(rounds):
            if number >= _FEWEST_ROUNDS and perf_counter() - start > max_seconds:
                break
            shuffle(order)
            for name in order:
                ready(name)
                seconds[name].append(_timed(functions[name], calls[name]))
    finally:
        if collecting:
            gc.enable()
    return Measured(seconds, calls)


def _timed(function: Callable[[], object], calls: int) -> float:
    start = perf_counter()
    for _ in range(calls):
        function()
    return (perf_counter() - start) / calls
