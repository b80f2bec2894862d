"""Reading score maps, and masks where there are any, a batch at a time, in other processes or in this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from fastcam.data.masks import read_mask
from fastcam.data.record import Record, Split
from fastcam.evaluation.loading import loading
from fastcam.evaluation.score_maps import ScoreMapError, ScoreMaps, is_raw
from fastcam.evaluation.settings import Settings
from fastcam.evaluation.truth import Boxes
from fastcam.images import PictureError
from fastcam.inputs import Inputs

__all__ = ["Batch", "OnProgress", "OnSkipped", "read_batches"]

OnSkipped = Callable[[ValueError], None]
"""What is called for each image that cannot be used, which is then left out."""

OnProgress = Callable[[int], object]
"""What is called with the number of images done since it was called last."""


@dataclass(frozen=True)
class Batch:
    """Images whose score maps are of one shape.

    Attributes:
        numbers: (n,) int64, which records of the split.
        maps: (n, h, w).
        size: (H, W) that raw maps are resized to; None for maps that are evaluated as they are.
        masks: (n, H, W) uint8, where the split has masks.
    """

    numbers: NDArray[np.int64]
    maps: NDArray[np.floating[Any]]
    size: tuple[int, int] | None
    masks: NDArray[np.uint8] | None

    def boxes(self, truth: Sequence[Boxes]) -> list[Tensor]:
        """Return the ground truth of the batch's images."""
        return [torch.from_numpy(truth[number]) for number in self.numbers.tolist()]


def read_batches(
    split: Split,
    maps: ScoreMaps,
    truth: Sequence[Boxes],
    settings: Settings,
    on_skipped: OnSkipped | None,
    on_progress: OnProgress,
) -> Iterator[Batch]:
    """Read score maps, and masks where there are any, in the order of the split.

    Args:
        split: whose images.
        maps: where their score maps are.
        truth: for each record its boxes, or None to leave it out.
        settings: how.
        on_skipped: called for each score map and mask that cannot be used; None: that is raised.
        on_progress: called with the number of images done since it was called last.

    Yields:
        Batches, of at most ``settings.batch_size`` images; maps of several shapes come in several batches.

    Raises:
        ScoreMapError: a score map that cannot be evaluated, without ``on_skipped``.
        PictureError: a mask that cannot be read, likewise.
    """
    numbers = [number for number, boxes in enumerate(truth) if boxes is not None]
    loader = loading(
        _Reading(split, maps, settings.inputs, numbers),
        len(numbers),
        batch_size=settings.batch_size,
        workers=settings.workers,
        collate=_grouped,
    )
    for batches, skipped in loader:
        for error in skipped:
            if on_skipped is None:
                raise error
            on_skipped(error)
        yield from batches
        on_progress(sum(len(batch.numbers) for batch in batches) + len(skipped))


_Read = tuple[int, NDArray[np.floating[Any]], tuple[int, int] | None, NDArray[np.uint8] | None]


class _Reading(Dataset[Any]):
    """Reads one image's score map and mask, or gives the error instead: it has to come back from another process."""

    def __init__(self, split: Split, maps: ScoreMaps, inputs: Inputs, numbers: list[int]) -> None:
        self._split = split
        self._maps = maps
        self._inputs = inputs
        self._numbers = numbers
        self._masked = split.has_masks

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> _Read | ValueError:
        number = self._numbers[index]
        record: Record = self._split[number]
        try:
            values = self._maps.read(record.id)
            raw = is_raw(values, self._inputs.size, self._maps.place(record.id))
            mask = read_mask(record, self._inputs) if self._masked else None
        except (ScoreMapError, PictureError) as error:
            return error
        return number, values, self._inputs.size if raw else None, mask


def _grouped(read: list[_Read | ValueError]) -> tuple[list[Batch], list[ValueError]]:
    """Stack what has one shape and type."""
    groups: dict[Any, list[_Read]] = {}
    for one in read:
        if not isinstance(one, ValueError):
            groups.setdefault((one[1].shape, one[1].dtype), []).append(one)
    batches = [
        Batch(
            np.array([number for number, *_ in group]),
            np.stack([values for _, values, _, _ in group]),
            group[0][2],
            np.stack([mask for *_, mask in group if mask is not None]) if group[0][3] is not None else None,
        )
        for group in groups.values()
    ]
    return batches, [one for one in read if isinstance(one, ValueError)]
