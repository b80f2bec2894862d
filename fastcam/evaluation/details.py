"""What becomes of single images once the threshold for all is known: rows for a file, exhibits for the gallery."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcam.data.record import Split
from fastcam.evaluation.at_threshold import boxes_at, masks_at
from fastcam.evaluation.gallery import Exhibit
from fastcam.evaluation.network_pass import Predictions
from fastcam.evaluation.numbers import Chosen, chosen_thresholds
from fastcam.evaluation.per_image import Row
from fastcam.evaluation.score_maps import ScoreMaps
from fastcam.evaluation.score_pass import Pass
from fastcam.evaluation.settings import Settings
from fastcam.evaluation.truth import Boxes
from fastcam.images import PictureError

__all__ = ["exhibit", "extremes", "rows_of"]


def rows_of(
    split: Split,
    maps: ScoreMaps,
    truth: Sequence[Boxes],
    settings: Settings,
    done: Pass,
    *,
    chosen: Chosen | None = None,
    predictions: Predictions | None = None,
    on_progress: Callable[[int], object] = lambda _: None,
) -> list[Row]:
    """Read the score maps once more and find each evaluated image's box and mask at the thresholds chosen for all.

    The thresholds are those for an IoU of 0.5, or of the first level where that is none of the levels.

    Args:
        split: whose images.
        maps: their score maps.
        truth: their boxes.
        settings: of the pass.
        done: the pass, whose own best thresholds count without ``chosen``.
        chosen: thresholds of another split.
        predictions: of the network.
        on_progress: called with the number of images done since it was called last.

    Returns:
        A row for each evaluated image, in the order of the split.
    """
    kept = [boxes if used else None for boxes, used in zip(truth, done.used, strict=True)]
    thresholds = chosen or chosen_thresholds(done, split.name)
    rows = {number: Row(split[number].id, split[number].label) for number in np.flatnonzero(done.used).tolist()}
    if predictions is not None:
        for number, row in rows.items():
            row.predicted = int(predictions.predicted[number])
            if predictions.correct is not None:
                row.top1, row.top5 = map(bool, predictions.correct[number])
            if done.largest is not None:
                x0, y0, x1, y1 = predictions.boxes[number].tolist()
                row.box, row.iou = (x0, y0, x1, y1), float(predictions.ious[number])
                row.fits = bool(predictions.fits[number])
    if done.largest is not None:
        levels = settings.iou_thresholds
        at = levels.index(0.5) if 0.5 in levels else 0
        pair = tuple(float(done.largest.thresholds[which[at]]) for which in (thresholds.largest, thresholds.any))
        for found in boxes_at(split, maps, kept, settings, (pair[0], pair[1]), on_progress=on_progress):
            row = rows[found.number]
            row.iou_of_any = found.iou_of_any
            if predictions is None:
                row.box, row.iou, row.fits = found.box, found.iou, found.iou >= 0.5
            else:
                row.chosen_box, row.chosen_iou = found.box, found.iou
    if done.pixels is not None and thresholds.pixels is not None:
        for number, iou in masks_at(split, maps, kept, settings, thresholds.pixels, on_progress=on_progress):
            rows[number].mask_iou = iou
    return list(rows.values())


def extremes(rows: Sequence[Row], count: int) -> tuple[list[Row], list[Row]]:
    """Pick the best rows, best first, and the worst, worst first, no row twice."""
    ranked = sorted(rows, key=lambda row: -row.quality)
    best = ranked[: min(count, (len(ranked) + 1) // 2)]
    return best, ranked[len(best) :][::-1][:count]


def exhibit(row: Row, split: Split, number: int, maps: ScoreMaps, settings: Settings) -> Exhibit:
    """Make a gallery's exhibit of an image; without its photograph where that cannot be read.

    Args:
        row: of the image.
        split: where it is.
        number: its place there.
        maps: its score map.
        settings: of the pass.
    """
    record, inputs = split[number], settings.inputs
    try:
        photo = record.read()
    except PictureError:
        photo = None
    size = record.size or (photo.shape[:2] if photo is not None else inputs.resize)
    found = np.zeros((0, 4)) if row.shown is None else inputs.to_picture(np.array([row.shown]), size)
    caption = split.classes[record.label]
    if row.top1 is not None:
        caption += ", class right" if row.top1 else ", class wrong"
    heat = _on_whole(maps.read(record.id), settings, (size[0], size[1]))
    return Exhibit(record.id, caption, row.quality, photo, heat, record.boxes, found, size)


def _on_whole(values: NDArray[np.floating[Any]], settings: Settings, size: tuple[int, int]) -> NDArray[np.float64]:
    """A score map over the whole picture: zeros around what a crop kept."""
    low, high = float(values.min()), float(values.max())
    scaled = (values.astype(np.float32) - low) / (high - low if high > low else 1)
    return np.asarray(settings.inputs.placed(size).over_picture(scaled), dtype=np.float64)
