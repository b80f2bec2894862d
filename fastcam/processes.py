"""Which of several processes this is, which share of the work is its own, and how results come together.

``torchrun`` starts the processes, on one machine or on many, and PyTorch's ``gloo`` connects them: what they exchange
are counts and rows, which are on the CPU. A process alone is the case of one, and no other code asks which it is.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist

__all__ = ["ALONE", "ProcessError", "Processes", "joined", "processors", "told"]

T = TypeVar("T")

# A process waits for the slowest as long as that takes; that one has died, it learns from its connection.
_PATIENCE = datetime.timedelta(days=7)


class ProcessError(RuntimeError):
    """Another of the processes ended before its time; it says itself why."""


@dataclass(frozen=True)
class Processes:
    """The processes of a run, and the place of this one among them.

    Attributes:
        rank: of this process, from 0.
        count: how many processes there are, on all machines.
        local_rank: of this process on its machine.
        local_count: how many there are on its machine.

    Example:
        >>> Processes(1, 2).dealt(["a", "b", "c", "d", "e"], 2)
        ['c', 'd']
        >>> ALONE.first, ALONE.gathered("a")
        (True, ['a'])
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that speaks and writes."""
        return self.rank == 0

    def dealt(self, items: Sequence[T], size: int = 1) -> list[T]:
        """Return the share of this process: every ``count``-th run of ``size`` items.

        Args:
            items: the same in every process.
            size: items that stay together, such as those that a network is run on at once.
        """
        starts = range(self.rank * size, len(items), self.count * size)
        return [item for start in starts for item in items[start : start + size]]

    def gathered(self, value: T) -> list[T]:
        """Return the values of all processes, by rank, in each of them.

        Args:
            value: of this process; anything that can be pickled.

        Raises:
            ProcessError: another process has ended.
        """
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        _exchange(lambda: dist.all_gather_object(values, value))
        return values

    def collected(self, value: T) -> list[T]:
        """Return the values of all processes, by rank, in the first; an empty list in the others.

        Args:
            value: of this process; anything that can be pickled.

        Raises:
            ProcessError: another process has ended.
        """
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count if self.first else []
        _exchange(lambda: dist.gather_object(value, values if self.first else None, dst=0))
        return values

    def wait(self) -> None:
        """Wait until every process has come this far.

        Raises:
            ProcessError: another process has ended.
        """
        if self.count > 1:
            _exchange(dist.barrier)

    def device(self, given: str | None = None) -> str | None:
        """Return the device that a network runs on: on a machine with GPUs each process has one of them.

        Args:
            given: what was asked for. What names a device, such as ``"cuda:1"`` or ``"cpu"``, is left as it is.
        """
        if self.count == 1 or given not in (None, "cuda") or not torch.cuda.is_available():
            return given
        return f"cuda:{self.local_rank % torch.cuda.device_count()}"


ALONE = Processes()
"""One process."""


def processors() -> int:
    """Return how many processors this process may use.

    Example:
        >>> processors() >= 1
        True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def told() -> Processes:
    """Return what ``torchrun`` told this process of the others; :data:`ALONE` where it was not started so.

    Example:
        >>> told() == ALONE
        True
    """
    if not dist.is_torchelastic_launched():
        return ALONE
    # These four are how torchrun tells its processes about each other; nothing else is read from the environment.
    rank, count, local_rank, local_count = (
        int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    )
    return Processes(rank, count, local_rank, local_count)


@contextlib.contextmanager
def joined() -> Iterator[Processes]:
    """Connect this process with the others that ``torchrun`` started, if it did.

    Yields:
        The processes.

    Raises:
        ProcessError: another process ended before it could be reached.

    Example:
        >>> with joined() as processes:
        ...     processes.count
        1
    """
    processes = told()
    if processes.count == 1 or dist.is_initialized():
        yield processes
        return
    _exchange(lambda: dist.init_process_group("gloo", timeout=_PATIENCE))
    try:
        yield processes
    finally:
        dist.destroy_process_group()


def _exchange(operation: Callable[[], object]) -> None:
    try:
        operation()
    # gloo's own words are of sockets.
    except RuntimeError as error:
        raise ProcessError("another process of this run ended before its time; its own message says why") from error
