"""A pass over score maps: every threshold at once, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

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
from fastcam.metrics.metric import SumMetric
from fastcam.processes import Processes

__all__ = ["Pass", "evaluate_score_maps"]

_M = TypeVar("_M", bound="SumMetric | None")


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

    def together(self, processes: Processes) -> Pass:
        """Add up what each process counted of its own images; all of them call it and get the whole."""
        if processes.count == 1:
            return self
        used = np.logical_or.reduce(processes.gathered(self.used))
        return Pass(
            _added_up(self.largest, processes),
            _added_up(self.any, processes),
            _added_up(self.pixels, processes),
            _added_up(self.centred, processes),
            used,
        )


def evaluate_score_maps(
    split: Split,
    maps: ScoreMaps,
    truth: Sequence[Boxes],
    settings: Settings = Settings(),  # noqa: B008 (frozen)
    *,
    own: NDArray[np.bool_] | None = None,
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
        own: (N,) bool, the images that are evaluated here, where several processes deal them out; None: all.
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
    # What is counted of a share is added up once, by together(): not by every compute(), which all would have to call.
    kept: dict[str, Any] = {"num_thresholds": count, "sync_on_compute": own is None}
    largest = MaxBoxAcc(ious, multi_contour=False, **kept) if boxed else None
    of_any = MaxBoxAcc(ious, multi_contour=True, **kept) if boxed else None
    pixels, centred = (PxAP(**kept), PxAP(**kept)) if split.has_masks else (None, None)
    heat = torch.from_numpy(gaussian(settings.inputs.size))
    used = np.zeros(len(split), bool)
    here = truth if own is None else [boxes if one else None for boxes, one in zip(truth, own, strict=True)]
    for batch in read_batches(split, maps, here, settings, on_skipped, on_progress):
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


def _added_up(metric: _M, processes: Processes) -> _M:
    """Return a metric with the counts of all processes, each of which calls this."""
    # torchmetrics' sync() would leave a metric that saw no image warning that it saw none.
    whole, *others = sorted(processes.gathered(metric), key=lambda one: 0 if one is None else -one.update_count)
    for other in others:
        if whole is not None and other is not None:
            whole.merge_state(other)
    return whole
