"""Which pictures a network is run on together, and how they are read for that.

The last bit of a convolution may depend on the images that are run together. So that a network has one number wherever
it is judged, :func:`images_per_call` alone says how many there are, and several processes deal out whole calls among
themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from fastcam.data.record import Split
from fastcam.evaluation.loading import loading
from fastcam.images import PictureError
from fastcam.inputs import Inputs
from fastcam.processes import Processes

__all__ = ["images_per_call", "read_calls"]

_ON_CPU = 8


def images_per_call(device: torch.device, batch_size: int = 64) -> int:
    """Return how many images a network is run on together: ``batch_size``, but on a CPU at most 8."""
    # On a CPU larger batches overflow the cache and are slower.
    return min(batch_size, _ON_CPU) if device.type == "cpu" else batch_size


def read_calls(
    split: Split,
    inputs: Inputs,
    numbers: Sequence[int],
    size: int,
    *,
    share: tuple[int, int] = (0, 1),
    workers: int = 0,
    on_skipped: Callable[[ValueError], None] | None = None,
    on_progress: Callable[[int], object] = lambda _: None,
) -> Iterator[tuple[list[int], Tensor]]:
    """Read pictures for one call of a network after the other.

    Args:
        split: the pictures.
        inputs: what the network sees of them.
        numbers: which of them.
        size: how many are run together.
        share: (i, n): the i-th of n shares of the calls.
        workers: processes that read pictures; 0 reads in this one.
        on_skipped: called for each picture that cannot be read, which is then left out; by default it is raised.
        on_progress: called with the number of pictures done since it was called last.

    Yields:
        The numbers of a call's pictures, and their pixels, (n, 3, h, w) uint8.

    Raises:
        PictureError: a picture that cannot be read, or has another size than the data set says, without
            ``on_skipped``.
    """
    own = Processes(*share).dealt(numbers, size)
    loader = loading(_Pictures(split, inputs, own), len(own), batch_size=size, workers=workers, collate=list)
    for batch in loader:
        read = [one for one in batch if not isinstance(one, ValueError)]
        for error in (one for one in batch if isinstance(one, ValueError)):
            if on_skipped is None:
                raise error
            on_skipped(error)
        if read:
            yield [number for number, _ in read], torch.stack([pixels for _, pixels in read])
        on_progress(len(batch))


class _Pictures(Dataset[Any]):
    """Reads one picture and brings it to the network's input, or gives the error instead."""

    def __init__(self, split: Split, inputs: Inputs, numbers: list[int]) -> None:
        self._split = split
        self._inputs = inputs
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> tuple[int, Tensor] | ValueError:
        number = self._numbers[index]
        try:
            return number, self._inputs.tensor(self._split[number].read())
        except PictureError as error:
            return error
