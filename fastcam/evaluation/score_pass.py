"""A pass over score maps: every threshold at once, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fastcam.data.record import Split
from fastcam.evaluation.reading import OnProgress, OnSkipped, read_batches
from fastcam.evaluation.score_maps import ScoreMaps
from fastcam.evaluation.settings import Settings
from fastcam.evaluation.trivial import gaussian
from fastcam.evaluation.truth import Boxes
from fastcam.metrics import MaxBoxAcc, PxAP, sweep

__all__ = ["Pass", "evaluate_score_maps"]


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


def evaluate_score_maps(
    split: Split,
    maps: ScoreMaps,
    truth: Sequence[Boxes],
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
    heat = torch.from_numpy(gaussian(settings.inputs.size))
    used = np.zeros(len(split), bool)
    for batch in read_batches(split, maps, truth, settings, on_skipped, on_progress):
        given = torch.from_numpy(batch.maps)
        right = None if correct is None else torch.from_numpy(correct[batch.numbers])
        if largest is not None and of_any is not None:
            swept = sweep(given, batch.boxes(truth), size=batch.size)
            largest.update(swept, correct=right)
            of_any.update(swept, correct=right)
        if pixels is not None and centred is not None and batch.masks is not None:
            pixels.update(given, batch.masks, size=batch.size)
            centred.update(heat.expand(len(given), *heat.shape), batch.masks)
        used[batch.numbers] = True
    return Pass(largest, of_any, pixels, centred, used)
