"""A pass over score maps: read by workers, evaluated at every threshold at once, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from fastcam.data.geometry import Geometry
from fastcam.data.masks import read_mask
from fastcam.data.record import Record, Split
from fastcam.evaluation.loading import loading
from fastcam.evaluation.predictors import gaussian
from fastcam.evaluation.score_maps import ScoreMapError, ScoreMaps, is_raw
from fastcam.evaluation.settings import Settings
from fastcam.images import PictureError
from fastcam.metrics import MaxBoxAcc, PxAP, sweep

__all__ = ["Found", "Pass", "boxes_at", "evaluate_score_maps", "masks_at"]

OnSkipped = Callable[[ValueError], None]
OnProgress = Callable[[int], object]


@dataclass(frozen=True)
class _Batch:
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


@dataclass
class Pass:
    """What a pass counted.

    Attributes:
        largest: of the largest contour (V1), where there are boxes.
        any: of any contour (V2), likewise.
        pixels: where there are masks.
        centred: of a centred Gaussian on the same masks.
        used: (N,) bool, the records that were evaluated.
    """

    largest: MaxBoxAcc | None
    any: MaxBoxAcc | None
    pixels: PxAP | None
    centred: PxAP | None
    used: NDArray[np.bool_]


@dataclass(frozen=True)
class Found:
    """An image's box at a threshold.

    Attributes:
        number: which record of the split.
        box: x0, y0, x1, y1 in evaluated pixels, as the evaluator of the field has them.
        iou: its best IoU with the ground truth.
        iou_of_any: that of any contour's box (V2).
    """

    number: int
    box: tuple[int, int, int, int]
    iou: float
    iou_of_any: float


def evaluate_score_maps(
    split: Split,
    maps: ScoreMaps,
    truth: Sequence[NDArray[np.int64] | None],
    settings: Settings = Settings(),  # noqa: B008 (frozen)
    *,
    correct: NDArray[np.bool_] | None = None,
    on_skipped: OnSkipped | None = None,
    on_progress: OnProgress = lambda _: None,
) -> Pass:
    """Evaluate a score map an image: MaxBoxAcc and MaxBoxAccV2 where there are boxes, PxAP where there are masks.

    Args:
        split: whose images.
        maps: where their score maps are.
        truth: for each record its boxes (G, 4) in evaluated pixels, or None to leave it out; as
            :func:`fastcam.evaluation.ground_truth` gives them.
        settings: how.
        correct: (N, 2) bool, whether the class was right in the first place and among the first five.
        on_skipped: called for each score map and mask that cannot be used, which is then left out; by default it is
            raised.
        on_progress: called with the number of images done since it was called last.

    Returns:
        The metrics, with all images counted.

    Raises:
        ScoreMapError: a score map that cannot be evaluated, without ``on_skipped``.
        PictureError: a mask that cannot be read, likewise.

    Example:
        >>> import pathlib, tempfile
        >>> from fastcam.data import Record, Split
        >>> record = Record("a.jpg", pathlib.Path("a.jpg"), 0, np.array([[0.0, 0, 112, 223]]), (224, 224))
        >>> split = Split("toys", "test", (record,), ("cube",))
        >>> heat = np.zeros((4, 4), np.float32)
        >>> heat[:, :2] = 1
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(pathlib.Path(folder, "a.jpg.npy"), heat)
        ...     done = evaluate_score_maps(split, ScoreMaps(folder), [record.boxes.astype(int)])
        >>> done.largest.compute()["max_box_acc_70"].item()
        1.0
    """
    ious, count = settings.iou_thresholds, settings.num_thresholds
    boxed = any(boxes is not None and len(boxes) for boxes in truth)
    largest = MaxBoxAcc(ious, multi_contour=False, num_thresholds=count) if boxed else None
    of_any = MaxBoxAcc(ious, multi_contour=True, num_thresholds=count) if boxed else None
    pixels, centred = (PxAP(count), PxAP(count)) if split.has_masks else (None, None)
    heat = torch.from_numpy(gaussian(settings.geometry.size))
    used = np.zeros(len(split), bool)
    for batch in _read_batches(split, maps, truth, settings, on_skipped, on_progress):
        given = torch.from_numpy(batch.maps)
        right = None if correct is None else torch.from_numpy(correct[batch.numbers])
        if largest is not None and of_any is not None:
            swept = sweep(given, _of_batch(truth, batch), size=batch.size)
            largest.update(swept, correct=right)
            of_any.update(swept, correct=right)
        if pixels is not None and centred is not None and batch.masks is not None:
            pixels.update(given, batch.masks, size=batch.size)
            centred.update(heat.expand(len(given), *heat.shape), batch.masks)
        used[batch.numbers] = True
    return Pass(largest, of_any, pixels, centred, used)


def boxes_at(
    split: Split,
    maps: ScoreMaps,
    truth: Sequence[NDArray[np.int64] | None],
    settings: Settings,
    thresholds: tuple[float, float],
    *,
    on_progress: OnProgress = lambda _: None,
) -> Iterator[Found]:
    """Find each image's box at one threshold of the largest contour, and how well any contour fits at another.

    Args:
        split: whose images.
        maps: where their score maps are.
        truth: as :func:`evaluate_score_maps` takes it.
        settings: how.
        thresholds: in [0, 1), of V1 and of V2.
        on_progress: called with the number of images done since it was called last.

    Yields:
        The images that can be evaluated, those of a batch in any order.
    """
    for batch in _read_batches(split, maps, truth, settings, lambda _: None, on_progress):
        swept = sweep(torch.from_numpy(batch.maps), _of_batch(truth, batch), size=batch.size)
        assert swept.iou is not None
        assert swept.boxes is not None
        assert swept.iou_of_any is not None
        entries = swept.entries(np.array(thresholds))
        rows = torch.arange(len(swept))
        at, at_any = entries.unbind(dim=1)
        table = swept.boxes[rows, at].tolist(), swept.iou[rows, at].tolist(), swept.iou_of_any[rows, at_any].tolist()
        for number, box, iou, iou_of_any in zip(batch.numbers.tolist(), *table, strict=True):
            yield Found(number, (box[0], box[1], box[2], box[3]), iou, iou_of_any)


def masks_at(
    split: Split,
    maps: ScoreMaps,
    truth: Sequence[NDArray[np.int64] | None],
    settings: Settings,
    threshold: float,
    *,
    on_progress: OnProgress = lambda _: None,
) -> Iterator[tuple[int, float]]:
    """For each image the IoU of its mask with what its score map has at or above a threshold.

    Args:
        split: whose images, with masks.
        maps: where their score maps are.
        truth: as :func:`evaluate_score_maps` takes it.
        settings: how.
        threshold: in [0, 1].
        on_progress: called with the number of images done since it was called last.

    Yields:
        The record's number and the IoU, ignored pixels left out; 0 where neither has a pixel.
    """
    for batch in _read_batches(split, maps, truth, settings, lambda _: None, on_progress):
        assert batch.masks is not None
        for row, number in enumerate(batch.numbers.tolist()):
            metric = PxAP(settings.num_thresholds)
            metric.update(torch.from_numpy(batch.maps[row : row + 1]), batch.masks[row : row + 1], size=batch.size)
            yield number, mask_iou(metric, threshold)


def mask_iou(metric: PxAP, threshold: float) -> float:
    """IoU of the pixels at or above one of a metric's thresholds with the objects; 0 where neither has a pixel."""
    edges = np.append(metric.thresholds, [1.0, 2.0])
    background, objects = metric.counts.numpy()[:, np.searchsorted(edges, threshold) :].sum(axis=1)
    union = int(metric.counts[1].sum()) + int(background)
    return float(objects / union) if union else 0.0


def _read_batches(
    split: Split,
    maps: ScoreMaps,
    truth: Sequence[NDArray[np.int64] | None],
    settings: Settings,
    on_skipped: OnSkipped | None,
    on_progress: OnProgress,
) -> Iterator[_Batch]:
    """Read score maps, and masks where there are any, in the order of the split, a batch at a time."""
    numbers = [number for number, boxes in enumerate(truth) if boxes is not None]
    loader = loading(
        _Reading(split, maps, settings.geometry, numbers),
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

    def __init__(self, split: Split, maps: ScoreMaps, geometry: Geometry, numbers: list[int]) -> None:
        self._split = split
        self._maps = maps
        self._geometry = geometry
        self._numbers = numbers
        self._masked = split.has_masks

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> _Read | ValueError:
        number = self._numbers[index]
        record: Record = self._split[number]
        try:
            values = self._maps.read(record.id)
            raw = is_raw(values, self._geometry.size, self._maps.place(record.id))
            mask = read_mask(record, self._geometry) if self._masked else None
        except (ScoreMapError, PictureError) as error:
            return error
        return number, values, self._geometry.size if raw else None, mask


def _grouped(read: list[_Read | ValueError]) -> tuple[list[_Batch], list[ValueError]]:
    """Stack what has one shape and type."""
    groups: dict[Any, list[_Read]] = {}
    for one in read:
        if not isinstance(one, ValueError):
            groups.setdefault((one[1].shape, one[1].dtype), []).append(one)
    batches = [
        _Batch(
            np.array([number for number, *_ in group]),
            np.stack([values for _, values, _, _ in group]),
            group[0][2],
            np.stack([mask for *_, mask in group if mask is not None]) if group[0][3] is not None else None,
        )
        for group in groups.values()
    ]
    return batches, [one for one in read if isinstance(one, ValueError)]


def _of_batch(truth: Sequence[NDArray[np.int64] | None], batch: _Batch) -> list[Tensor]:
    return [torch.from_numpy(truth[number]) for number in batch.numbers.tolist()]
