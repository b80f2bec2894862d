"""A whole evaluation, from score maps or a network to a report: :func:`evaluate`."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fastcam.data import DataError, Split
from fastcam.evaluation.loading import worker_errors
from fastcam.evaluation.network_pass import ClassMap, Predictions
from fastcam.evaluation.numbers import chosen_thresholds
from fastcam.evaluation.outputs import Outputs
from fastcam.evaluation.per_image import Row
from fastcam.evaluation.reading import OnSkipped
from fastcam.evaluation.report import Report
from fastcam.evaluation.score_maps import ScoreMaps
from fastcam.evaluation.score_pass import Pass
from fastcam.evaluation.settings import Settings
from fastcam.evaluation.skips import Skips
from fastcam.evaluation.steps import ClassesError, Progress, Steps
from fastcam.network import Network
from fastcam.processes import ALONE, Processes
from fastcam.protocol import PAPER, Protocol

__all__ = ["ClassesError", "Evaluation", "Progress", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """What came of an evaluation.

    Attributes:
        report: the numbers, and what was evaluated.
        rows: one an image, where they were asked for or written.
        done: the metrics of the score maps.
        predictions: of the network; None for score maps.
        skipped: how many images were left out.
    """

    report: Report
    rows: list[Row]
    done: Pass
    predictions: Predictions | None
    skipped: int


def evaluate(
    source: Network | ScoreMaps | str | os.PathLike[str],
    split: Split,
    settings: Settings = Settings(),  # noqa: B008 (frozen)
    *,
    protocol: Protocol = PAPER,
    map_class: Literal["true", "predicted"] = "true",
    class_map: str | os.PathLike[str] | ClassMap | None = None,
    thresholds_from: Split | None = None,
    training: Split | None = None,
    outputs: Outputs = Outputs(),  # noqa: B008 (frozen)
    with_rows: bool = False,
    on_skipped: OnSkipped | None = None,
    skipped: int = 0,
    on_report: Callable[[Report, Pass], object] = lambda _report, _done: None,
    progress: Progress = lambda _name, _count: contextlib.nullcontext(lambda _done: None),
    processes: Processes = ALONE,
) -> Evaluation:
    """Evaluate localization: MaxBoxAcc and MaxBoxAccV2 against boxes, PxAP against masks; of a network GT-Loc and more.

    Args:
        source: a network, or score maps, or where they are.
        split: what they are evaluated on.
        settings: how; of a network, its own inputs count.
        protocol: how a network's map becomes a box for GT-Loc and Top-k Loc, and how that is compared.
        map_class: which map of a network is evaluated: that of the true class, or of the one that it predicts.
        class_map: for each class of the data those of the network, or a file (see :func:`read_class_map`); by default
            both have the same classes.
        thresholds_from: another split, whose best thresholds are evaluated too.
        training: a split whose mean box stands beside the numbers.
        outputs: what is written where.
        with_rows: return a row an image, even where none is written.
        on_skipped: called for each image that cannot be used, which is then left out; by default it is raised.
        skipped: how many images were left out before; they are counted with those of this evaluation.
        on_report: called with the numbers before anything is written, so that they are known even where that fails.
        progress: shows how far each pass is.
        processes: that :func:`fastcam.processes.joined` connected, each of which calls this alike: they deal out the
            images among themselves, and the numbers are those of one process. The first writes and tells ``on_report``;
            ``on_skipped`` is called in the process that had the image.

    Returns:
        The :class:`Evaluation`; where there are several processes, ``rows`` in the first alone.

    Raises:
        ClassesError: a network with other classes than the data set, without ``class_map`` and ``map_class``.
        DataError: neither boxes nor masks, no image left, no object pixel in any mask, or a malformed class map.
        ImportError: plots are to be written, and matplotlib is not installed.
        PictureError: a picture or a mask that cannot be read, without ``on_skipped``.
        ProcessError: another process ended before its time.
        ScoreMapError: a score map that cannot be evaluated, likewise.
        WorkerError: a process that reads ended before its time.

    Example:
        >>> import fastcam, pathlib, tempfile
        >>> from fastcam.data import read_cub
        >>> from fastcam.data.synthetic import write_synthetic
        >>> from fastcam.models import VGG16
        >>> network = fastcam.load(VGG16(num_classes=2, width=1 / 16), size=(32, 32))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_synthetic(pathlib.Path(folder, "birds"), train=4, test=6, classes=2, size=32)
        ...     done = evaluate(network, read_cub(pathlib.Path(folder, "birds"), "test"))
        >>> sorted(done.report.numbers["score_maps"])[:3], done.skipped
        (['gt_loc', 'max_box_acc_30', 'max_box_acc_50'], 0)
    """
    if not split.has_boxes and not split.has_masks:
        raise DataError(f"{split.dataset} {split.name}: neither boxes nor masks to evaluate against{_some_have(split)}")
    skips = Skips(on_skipped, skipped, processes)
    steps = Steps(source, settings, protocol, map_class, class_map, skips, progress, processes)
    with worker_errors(), tempfile.TemporaryDirectory() as folder:
        # What a process writes alone goes to its final place at once; parts of several are put together there.
        place = outputs.score_maps if processes.count == 1 else None
        main = steps.evaluated(split, place or Path(folder, "maps.npz"))
        chosen = None
        if thresholds_from is not None:
            other = steps.evaluated(thresholds_from, Path(folder, "other.npz"))
            chosen = chosen_thresholds(other.done, thresholds_from.name)
        report = steps.report(main, chosen, training, skips.count)
        if processes.first:
            on_report(report, main.done)
        rows = steps.rows(main, chosen) if with_rows or outputs.needs_rows else []
        maps = main.maps
        if outputs.score_maps is not None or outputs.gallery is not None:
            maps = steps.whole_maps(main, outputs.score_maps or Path(folder, "whole.npz"))
        if processes.first:
            outputs.write(report, rows, split, maps, steps.settings)
        processes.wait()
    return Evaluation(report, rows, main.done, main.predictions, skips.count)


def _some_have(split: Split) -> str:
    """How many images have boxes or masks, where some have."""
    count = sum(bool(len(record.boxes) or record.masks) for record in split)
    return f": {count} of {len(split)} images have any, and all must" if count else ""
