"""The steps of an evaluation, in one process or as one of several: :class:`Steps`."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from fastcam.data import DataError, Split
from fastcam.evaluation.class_map import read_class_map
from fastcam.evaluation.details import rows_of
from fastcam.evaluation.network_pass import ClassMap, NetworkSettings, Predictions, run_network
from fastcam.evaluation.numbers import Chosen, chosen_thresholds
from fastcam.evaluation.per_image import Row
from fastcam.evaluation.reading import OnProgress
from fastcam.evaluation.report import Report, described, make_report
from fastcam.evaluation.score_maps import ScoreMaps, writing_score_maps
from fastcam.evaluation.score_pass import Pass, evaluate_score_maps
from fastcam.evaluation.settings import Settings
from fastcam.evaluation.skips import Skips
from fastcam.evaluation.truth import Truth, ground_truth
from fastcam.network import Network
from fastcam.processes import Processes
from fastcam.protocol import Protocol

__all__ = ["ClassesError", "Evaluated", "Progress", "Steps"]

Progress = Callable[[str, int], AbstractContextManager[OnProgress]]
"""What shows how far a pass is: takes its name and the number of images, gives what is called with those done."""

_AT_ONCE: Final = 4096  # images of the split whose score maps are in memory together


class ClassesError(ValueError):
    """A network whose classes are not those of the data set, without a word on which of them are the same."""


@dataclass(frozen=True)
class Evaluated:
    """A split that was evaluated.

    Attributes:
        split: the images.
        truth: their boxes.
        maps: the score maps of at least the images in ``own``.
        done: the metrics, of the images of all processes.
        predictions: of the network, likewise; None for score maps.
        own: (N,) bool, the images that this process evaluated.
    """

    split: Split
    truth: Truth
    maps: ScoreMaps
    done: Pass
    predictions: Predictions | None
    own: NDArray[np.bool_]


class Steps:
    """The steps of an evaluation, which may be taken for two splits; the arguments are those of ``evaluate``."""

    def __init__(
        self,
        source: Network | ScoreMaps | str | os.PathLike[str],
        settings: Settings,
        protocol: Protocol,
        map_class: Literal["true", "predicted"],
        class_map: str | os.PathLike[str] | ClassMap | None,
        skips: Skips,
        progress: Progress,
        processes: Processes,
    ) -> None:
        self._network: Network | None = None
        self._maps: ScoreMaps | None = None
        self.settings = settings
        if isinstance(source, Network):
            self._network, self.settings = source, replace(settings, inputs=source.inputs)
        else:
            self._maps = source if isinstance(source, ScoreMaps) else ScoreMaps(source)
        self._protocol, self._map_class, self._class_map = protocol, map_class, class_map
        self._skips, self._progress, self._processes = skips, progress, processes

    def evaluated(self, split: Split, path: Path) -> Evaluated:
        """Evaluate a split; a network's maps are written to ``path`` first."""
        truth = ground_truth(split, self.settings.inputs, on_skipped=self._skips.everywhere())
        predictions, maps = None, self._maps
        own = np.zeros(len(split), bool)
        if self._network is not None:
            part = self._predicted(self._network, split, truth, path)
            own, predictions = part.used, part.together(self._processes)
            truth = truth.only(predictions.used)
            maps = ScoreMaps(path)
        else:
            own[self._processes.dealt(np.flatnonzero(truth.used).tolist(), self.settings.batch_size)] = True
        assert maps is not None
        with self._progress("score maps", int(own.sum())) as advance:
            part_done = evaluate_score_maps(
                split,
                maps,
                truth,
                self.settings,
                own=own,
                correct=None if predictions is None else predictions.correct,
                on_skipped=self._skips.here(),
                on_progress=advance,
            )
        done = part_done.together(self._processes)
        self._skips.add_up()
        if not done.used.any():
            raise DataError(f"{split.dataset} {split.name}: no image could be evaluated")
        if done.pixels is not None and not done.pixels.counts[1].any():
            raise DataError(f"{split.dataset} {split.name}: no mask has an object pixel, so PxAP is undefined")
        return Evaluated(split, truth, maps, done, predictions, part_done.used)

    def _predicted(self, network: Network, split: Split, truth: Truth, path: Path) -> Predictions:
        settings = NetworkSettings(
            self._protocol, self._classes(network, split), self.settings.batch_size, self.settings.workers
        )
        share = (self._processes.rank, self._processes.count)
        count = -(-int(truth.used.sum()) // self._processes.count)
        with writing_score_maps(path) as writer, self._progress("network", count) as advance:
            return run_network(
                network,
                split,
                truth,
                settings,
                writer,
                share=share,
                on_skipped=self._skips.here(),
                on_progress=advance,
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

    def report(self, main: Evaluated, chosen: Chosen | None, training: Split | None, skipped: int) -> Report:
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

    def _facts(self, main: Evaluated, skipped: int) -> dict[str, Any]:
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

    def rows(self, main: Evaluated, chosen: Chosen | None) -> list[Row]:
        """Find each image's box and mask at the thresholds chosen for all; those of all processes are in the first."""
        with self._progress("images", int(main.own.sum())) as advance:
            rows = rows_of(
                main.split,
                main.maps,
                main.truth,
                self.settings,
                replace(main.done, used=main.own),
                chosen=chosen or chosen_thresholds(main.done, main.split.name),
                predictions=main.predictions,
                on_progress=advance,
            )
        numbered = zip(np.flatnonzero(main.own).tolist(), rows, strict=True)
        return [row for _, row in sorted(chain(*self._processes.collected(list(numbered))), key=itemgetter(0))]

    def whole_maps(self, main: Evaluated, path: Path) -> ScoreMaps:
        """Return the score maps of all images; those that several processes made are put together at ``path``."""
        if self._network is None or self._processes.count == 1:
            return main.maps
        with writing_score_maps(path) if self._processes.first else nullcontext() as writer:
            for start in range(0, len(main.split), _AT_ONCE):
                numbers = [start + number for number in np.flatnonzero(main.own[start : start + _AT_ONCE]).tolist()]
                read = [(number, main.maps.read(main.split[number].id)) for number in numbers]
                for number, values in sorted(chain(*self._processes.collected(read)), key=itemgetter(0)):
                    assert writer is not None
                    writer.write(main.split[number].id, values)
        return ScoreMaps(path) if self._processes.first else main.maps
