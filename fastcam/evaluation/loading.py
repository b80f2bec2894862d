"""Reading ahead in other processes, and what is said when one of them is killed."""

from __future__ import annotations

import contextlib
import signal
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset

__all__ = ["WorkerError", "loading", "plain_signals", "worker_errors"]


class WorkerError(RuntimeError):
    """A process that reads ended before its time."""


@contextlib.contextmanager
def worker_errors() -> Iterator[None]:
    """Say what became of a process that reads; PyTorch raises that in the middle of whatever is done meanwhile.

    Raises:
        WorkerError: one ended before its time.
    """
    try:
        yield
    except RuntimeError as error:
        # The loader's own words; its class is RuntimeError.
        if not str(error).startswith("DataLoader worker (pid"):
            raise
        reason = str(error).splitlines()[0].removeprefix("DataLoader worker ").rstrip(". ")
        raise WorkerError(
            f"a process that reads pictures or score maps ended before its time: {reason}. The system kills one where "
            "memory runs out: try fewer workers, or 0"
        ) from error


def plain_signals(_worker: int = 0) -> None:
    """Let signals end a process that reads at once, whatever the process that started it does about them.

    A loader ends its processes by SIGTERM. One that raises an exception then, as the command does, would wait for ever
    for a lock that a killed neighbour held.
    """
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN:
            signal.signal(getattr(signal, name), signal.SIG_DFL)


def loading(
    dataset: Dataset[Any], count: int, *, batch_size: int, workers: int, collate: Callable[[list[Any]], Any]
) -> Iterator[Any]:
    """Read a data set of so many samples in its order, a batch at a time.

    Args:
        dataset: gives a sample, or an error instead of raising it, which would not come whole from another process.
        count: of samples.
        batch_size: samples at a time.
        workers: processes; no more are started than there are full batches.
        collate: makes a batch.

    Returns:
        The batches.
    """
    with warnings.catch_warnings():
        # Readers wait for the disk, so more of them than processors may be what is wanted.
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        workers = min(workers, count // batch_size)
        return iter(
            DataLoader(
                dataset, batch_size=batch_size, num_workers=workers, collate_fn=collate, worker_init_fn=plain_signals
            )
        )
