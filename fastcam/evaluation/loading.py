"""Reading ahead in other processes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset

__all__ = ["loading"]


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
        return iter(DataLoader(dataset, batch_size=batch_size, num_workers=workers, collate_fn=collate))
