"""A whole evaluation, from score maps or a network to a report: :func:`evaluate`."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from fastcam.data import DataError, Split
from fastcam.evaluation.class_map import read_class_map
from fastcam.evaluation.details import rows_of
from fastcam.evaluation.loading import worker_errors
from fastcam.evaluation.network_pass import ClassMap, NetworkSettings, Predictions, run_network
from fastcam.evaluation.numbers import Chosen, chosen_thresholds
from fastcam.evaluation.outputs import Outputs
from fastcam.evaluation.per_image import Row
from fastcam.evaluation.reading import OnProgress, OnSkipped
from fastcam.evaluation.report import Report, described, make_report
from fastcam.evaluation.score_maps import ScoreMaps, writing_score_maps
from fastcam.evaluation.score_pass import Pass, evaluate_score_maps
from fastcam.evaluation.settings import Settings
from fastcam.evaluation.truth import Truth, ground_truth
from fastcam.network import Network
from fastcam.protocol import PAPER, Protocol

__all__ = ["ClassesError", "Evaluation", "Progress", "evaluate"]

Progress = Callable[[str, int], contextlib.AbstractContextManager[OnProgress]]
"""What shows how far a pass is: takes its name and the number of images, gives what is called with those done."""


class ClassesError(ValueError):
    """A network whose classes are not those of the data set, without a word on which of them are the same."""


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

    Returns:
        The :class:`Evaluation`.

    Raises:
        ClassesError: a network with other classes than the data set, without ``class_map`` and ``map_class``.
        DataError: neither boxes nor masks, no image left, no object pixel in any mask, or a malformed class map.
        ImportError: plots are to be written, and matplotlib is not installed.
        PictureError: a picture or a mask that cannot be read, without ``on_skipped``.
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
    counted = _Skips(on_skipped, skipped)
    run = _Run(source, settings, protocol, map_class, class_map, counted if on_skipped else None, progress)
    with worker_errors(), tempfile.TemporaryDirectory() as folder:
        main = run.evaluated(split, outputs.score_maps or Path(folder, "maps.npz"))
        chosen = None
        if thresholds_from is not None:
            other = run.evaluated(thresholds_from, Path(folder, "other.npz"))
            chosen = chosen_thresholds(other.done, thresholds_from.name)
        report = run.report(main, chosen, training, counted.count)
        on_report(report, main.done)
        rows = run.rows(main, chosen) if with_rows or outputs.needs_rows else []
        outputs.write(report, rows, split, main.maps, run.settings)
    return Evaluation(report, rows, main.done, main.predictions, counted.count)


class _Skips:
    """Counts the images that are left out, and passes them on."""

    def __init__(self, on_skipped: OnSkipped | None, count: int) -> None:
        self._on_skipped, self.count = on_skipped, count

    def __call__(self, error: ValueError) -> None:
        assert self._on_skipped is not None
        self._on_skipped(error)
        self.count += 1


@dataclass(frozen=True)
class _Evaluated:
    """A split that was evaluated."""

    split: Split
    truth: Truth
    maps: ScoreMaps
    done: Pass
    predictions: Predictions | None


class _Run:
    """The steps of an evaluation, which may be taken for two splits."""

    def __init__(
        self,
        source: Network | ScoreMaps | str | os.PathLike[str],
        settings: Settings,
        protocol: Protocol,
        map_class: Literal["true", "predicted"],
        class_map: str | os.PathLike[str] | ClassMap | None,
        on_skipped: OnSkipped | None,
        progress: Progress,
    ) -> None:
        self._network: Network | None = None
        self._maps: ScoreMaps | None = None
        self.settings = settings
        if isinstance(source, Network):
            self._network, self.settings = source, replace(settings, inputs=source.inputs)
        else:
            self._maps = source if isinstance(source, ScoreMaps) else ScoreMaps(source)
        self._protocol, self._map_class, self._class_map = protocol, map_class, class_map
        self._on_skipped, self._progress = on_skipped, progress

    def evaluated(self, split: Split, path: Path) -> _Evaluated:
        """Evaluate a split; a network's maps are written to ``path`` first."""
        truth = ground_truth(split, self.settings.inputs, on_skipped=self._on_skipped)
        predictions, maps = None, self._maps
        if self._network is not None:
            predictions = self._predicted(self._network, split, truth, path)
            truth = truth.only(predictions.used)
            maps = ScoreMaps(path)
        assert maps is not None
        with self._progress("score maps", int(truth.used.sum())) as advance:
            done = evaluate_score_maps(
                split,
                maps,
                truth,
                self.settings,
                correct=None if predictions is None else predictions.correct,
                on_skipped=self._on_skipped,
                on_progress=advance,
            )
        if not done.used.any():
            raise DataError(f"{split.dataset} {split.name}: no image could be evaluated")
        if done.pixels is not None and not done.pixels.counts[1].any():
            raise DataError(f"{split.dataset} {split.name}: no mask has an object pixel, so PxAP is undefined")
        return _Evaluated(split, truth, maps, done, predictions)

    def _predicted(self, network: Network, split: Split, truth: Truth, path: Path) -> Predictions:
        settings = NetworkSettings(
            self._protocol, self._classes(network, split), self.settings.batch_size, self.settings.workers
        )
        with writing_score_maps(path) as writer, self._progress("network", int(truth.used.sum())) as advance:
            return run_network(
                network, split, truth, settings, writer, on_skipped=self._on_skipped, on_progress=advance
            )

    def _classes(self, network: Network, split: Split) -> ClassMap | None:
        """Which classes of the network mean each class of the data; None for the predicted one's map."""
        known = network.extractor.num_classes
        if isinstance(self._class_map, (str, os.PathLike)):
            return read_class_map(self._class_map, split.classes, known)
        if self._class_map is not None:
            return self._class_map
        if self._map_class == "predicted":
            return None
        if known != len(split.classes):
            raise ClassesError(
                f"the network has {known} classes, {split.dataset} has {len(split.classes)}: say by a class map which "
                "of them are the same, or evaluate the map of the class that is predicted"
            )
        return {label: (label,) for label in range(known)}

    def report(self, main: _Evaluated, chosen: Chosen | None, training: Split | None, skipped: int) -> Report:
        """Put the report together."""
        boxed = main.done.largest is not None
        trained_on = None
        if training is not None and boxed:
            trained_on = ground_truth(training, self.settings.inputs, on_skipped=lambda _: None)
        facts = self._facts(main, skipped)
        if training is not None and trained_on is not None and trained_on.has_boxes:
            facts["mean training box"] = f"of the {training.name} split"
        judged = None if main.predictions is None else main.predictions.judged(main.done.used, boxed=boxed)
        return make_report(
            facts,
            main.done,
            main.truth,
            self.settings,
            judged=judged,
            protocol=None if judged is None else self._protocol,
            training=trained_on,
            chosen=chosen,
        )

    def _facts(self, main: _Evaluated, skipped: int) -> dict[str, Any]:
        settings, split = self.settings, main.split
        height, width = settings.inputs.size
        geometry = "resize" if settings.inputs.crop is None else "crop"
        facts: dict[str, Any] = {
            "dataset": split.title,
            "split": split.name,
            "images": int(main.done.used.sum()),
            "skipped": skipped,
            "geometry": f"{geometry}, {height}x{width}",
            "thresholds": f"{settings.num_thresholds}, 1/{settings.num_thresholds} apart",
        }
        if self._network is None or main.predictions is None:
            return {**facts, "score maps": str(main.maps.root)}
        whose = "the predicted class" if main.predictions.correct is None else "the true class"
        mapped = f" by {self._class_map}" if isinstance(self._class_map, (str, os.PathLike)) else ""
        protocol = described(self._protocol)
        facts |= {"network": self._network.name, "map": f"of {whose}{mapped}", "protocol": protocol}
        if protocol.startswith("custom"):
            names = (one.name for one in fields(self._protocol))
            facts["protocol fields"] = ", ".join(f"{name}={getattr(self._protocol, name)}" for name in names)
        return facts

    def rows(self, main: _Evaluated, chosen: Chosen | None) -> list[Row]:
        """Find each image's box and mask at the thresholds chosen for all."""
        with self._progress("images", int(main.truth.used.sum())) as advance:
            return rows_of(
                main.split,
                main.maps,
                main.truth,
                self.settings,
                main.done,
                chosen=chosen,
                predictions=main.predictions,
                on_progress=advance,
            )


def _some_have(split: Split) -> str:
    """How many images have boxes or masks, where some have."""
    count = sum(bool(len(record.boxes) or record.masks) for record in split)
    return f": {count} of {len(split)} images have any, and all must" if count else ""
