"""What ``fastcam evaluate`` does, step by step: read, run, count, choose thresholds, tell and write."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fastcam.cli.checkpoint import load_checkpoint
from fastcam.cli.network import Network, NetworkOptions
from fastcam.cli.terminal import say
from fastcam.data import DataError, Geometry, Split, read_dataset, read_metadata
from fastcam.data.lines import read_table
from fastcam.evaluation.details import exhibit, extremes, rows_of
from fastcam.evaluation.evaluate import make_report
from fastcam.evaluation.gallery import write_gallery
from fastcam.evaluation.ground_truth import Comparison, ground_truth
from fastcam.evaluation.network_pass import NetworkSettings, Predictions, run_network
from fastcam.evaluation.numbers import Chosen, chosen_thresholds
from fastcam.evaluation.per_image import Row, write_rows
from fastcam.evaluation.plots import plot_precision_recall, plot_thresholds
from fastcam.evaluation.predictors import mean_box
from fastcam.evaluation.report import Report
from fastcam.evaluation.score_maps import ScoreMaps, writing_score_maps
from fastcam.evaluation.score_pass import Pass, evaluate_score_maps
from fastcam.evaluation.settings import Settings
from fastcam.export import replacing, write_json
from fastcam.images import PictureError
from fastcam.protocol import Protocol

__all__ = ["Evaluation", "Options"]

Truth = list[NDArray[np.int64] | None]

# Protocols that compare boxes with x1 and y1 as the last pixels inside.
_INCLUSIVE = ("authors", "wsoleval")


@dataclass(frozen=True)
class Options:
    """The options of the command, checked."""

    scoremaps: Path | None
    metadata: Path | None
    masks: Path | None
    images: Path | None
    data: Path | None
    boxes: Path | None
    dataset: str
    split: str
    num_thresholds: int
    multi_contour: bool
    multi_iou: bool
    iou: tuple[int, ...]
    geometry: Geometry
    geometry_name: str
    threshold_from: str | None
    mean_box_from: str | None
    network: NetworkOptions
    model: str | None
    pooling: str | None
    map_class: str
    class_map: Path | None
    protocol: Protocol
    protocol_name: str
    scoremaps_out: Path | None
    batch_size: int
    workers: int
    out: Path | None
    plot_format: str
    per_image: Path | None
    gallery: int | None
    skip_bad: bool


@dataclass(frozen=True)
class _Evaluated:
    """A split that was evaluated."""

    split: Split
    truth: Truth
    maps: ScoreMaps
    done: Pass
    predictions: Predictions | None


class Evaluation:
    """One run of the command."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._skipped = 0
        self._network: Network | None = None
        self._settings = Settings(
            options.geometry,
            tuple(level / 100 for level in options.iou),
            options.num_thresholds,
            options.batch_size,
            options.workers,
        )

    def run(self) -> int:
        """Evaluate, print and write; return how many images were skipped."""
        options = self._options
        split = self._read(options.split)
        if not split.has_boxes and not split.has_masks:
            raise DataError(f"{split.dataset} {split.name}: neither boxes nor masks to evaluate against")
        if options.scoremaps is None:
            self._network = load_checkpoint(options.network, options.model, options.pooling)
        with tempfile.TemporaryDirectory() as folder:
            kept = options.scoremaps_out or Path(folder, "maps.npz")
            main = self._evaluate(split, kept)
            if not main.done.used.any():
                raise DataError(f"{split.dataset} {split.name}: no image could be evaluated")
            chosen = None
            if options.threshold_from is not None:
                other = self._evaluate(self._read(options.threshold_from), Path(folder, "other.npz"))
                chosen = chosen_thresholds(other.done, options.threshold_from)
            report = self._report(main, chosen)
            rows = self._rows(main, chosen)
            self._write(main, report, rows)
        say(report.to_markdown())
        say(f"localization: {self._headline(main.done)}")
        return self._skipped

    def _read(self, name: str) -> Split:
        options = self._options
        try:
            if options.metadata is None:
                assert options.data is not None
                return read_dataset(options.data, name, masks=options.masks, boxes=options.boxes, on_bad=self._skip)
            return read_metadata(
                options.metadata,
                name,
                dataset=options.dataset,
                images=options.images,
                masks=options.masks,
                on_bad=self._skip,
            )
        except (DataError, PictureError):
            raise
        except ValueError as error:
            raise DataError(str(error)) from error

    def _evaluate(self, split: Split, path: Path) -> _Evaluated:
        truth = ground_truth(split, self._options.geometry, on_skipped=self._skip)
        predictions = None
        if self._network is not None:
            with writing_score_maps(path) as writer, self._progress("network", truth) as advance:
                predictions = run_network(
                    split,
                    truth,
                    self._network.localizer,
                    self._network_settings(split, self._network),
                    writer,
                    on_skipped=self._skip,
                    on_progress=advance,
                )
            truth = [boxes if used else None for boxes, used in zip(truth, predictions.used, strict=True)]
            maps = ScoreMaps(path)
        else:
            assert self._options.scoremaps is not None
            maps = ScoreMaps(self._options.scoremaps)
        with self._progress("score maps", truth) as advance:
            done = evaluate_score_maps(
                split,
                maps,
                truth,
                self._settings,
                correct=None if predictions is None else predictions.correct,
                on_skipped=self._skip,
                on_progress=advance,
            )
        return _Evaluated(split, truth, maps, done, predictions)

    def _network_settings(self, split: Split, network: Network) -> NetworkSettings:
        options = self._options
        return NetworkSettings(
            network.preprocessing.mean,
            network.preprocessing.std,
            network.device,
            options.geometry,
            options.protocol,
            self._classes(split, network),
            options.protocol_name in _INCLUSIVE,
            # On a CPU larger batches overflow the cache and are slower.
            min(options.batch_size, 8) if network.device.type == "cpu" else options.batch_size,
            options.workers,
        )

    def _classes(self, split: Split, network: Network) -> dict[int, tuple[int, ...]] | None:
        """Which classes of the network mean each class of the data; None for the predicted one's map."""
        options, known = self._options, network.localizer.num_classes
        if options.class_map is not None:
            return _class_map(options.class_map, split.classes, known)
        if options.map_class == "predicted":
            return None
        if known != len(split.classes):
            raise click.UsageError(
                f"the network has {known} classes, {split.dataset} has {len(split.classes)}: say which of them are the "
                "same by --class-map, or evaluate the map of the class it predicts by --map-class predicted"
            )
        return {label: (label,) for label in range(known)}

    def _report(self, main: _Evaluated, chosen: Chosen | None) -> Report:
        options, done, split = self._options, main.done, main.split
        height, width = options.geometry.size
        facts: dict[str, Any] = {
            "dataset": split.dataset,
            "split": split.name,
            "images": int(done.used.sum()),
            "skipped": self._skipped,
            "geometry": f"{options.geometry_name}, {height}x{width}",
            "thresholds": f"{options.num_thresholds}, 1/{options.num_thresholds} apart",
        }
        classified = comparison = None
        if main.predictions is None:
            facts["score maps"] = str(options.scoremaps)
        else:
            whose = "the predicted class" if main.predictions.correct is None else "the true class"
            mapped = f" by {options.class_map}" if options.class_map is not None else ""
            facts["network"] = str(options.network.weights or options.model)
            facts["map"] = f"of {whose}{mapped}"
            facts["protocol"] = (
                f"{options.protocol_name}, percentile {options.protocol.percentile:g}, "
                f"threshold {options.protocol.threshold:g}"
            )
            boxed = done.largest is not None
            classified = main.predictions.numbers(done.used, boxed=boxed)
            inclusive = options.protocol_name in _INCLUSIVE
            comparison = Comparison.of(split, options.geometry, inclusive=inclusive) if boxed else None
        mean, source = self._mean_box() if done.largest is not None else (None, None)
        if source is not None:
            facts["mean training box"] = f"of the {source} split"
        correct = None if main.predictions is None else main.predictions.correct
        return make_report(
            facts,
            done,
            main.truth,
            self._settings,
            classified=classified,
            correct=correct,
            comparison=comparison,
            mean=mean,
            chosen=chosen,
        )

    def _mean_box(self) -> tuple[NDArray[np.float64] | None, str | None]:
        """The mean box of the training part, or of the first that has boxes and is not the one evaluated."""
        options = self._options
        names = [options.mean_box_from] if options.mean_box_from else ["train", "val"]
        for name in names:
            if name == options.split and not options.mean_box_from:
                continue
            try:
                split = self._read(name)
            except (DataError, PictureError):
                # Not every data set has every part; the one that was asked for by name has to be there.
                if options.mean_box_from:
                    raise
                continue
            mean = mean_box(ground_truth(split, options.geometry, on_skipped=lambda _: None))
            if mean is not None:
                return mean, name
        if options.mean_box_from:
            raise DataError(f"--mean-box-from {options.mean_box_from}: that part has no boxes")
        return None, None

    def _rows(self, main: _Evaluated, chosen: Chosen | None) -> list[Row]:
        if self._options.per_image is None and self._options.gallery is None:
            return []
        with self._progress("images", main.truth) as advance:
            return rows_of(
                main.split,
                main.maps,
                main.truth,
                self._settings,
                main.done,
                chosen=chosen,
                predictions=main.predictions,
                on_progress=advance,
            )

    def _write(self, main: _Evaluated, report: Report, rows: list[Row]) -> None:
        options = self._options
        if options.per_image is not None:
            write_rows(options.per_image, rows)
        if options.out is None:
            return
        options.out.mkdir(parents=True, exist_ok=True)
        write_json(options.out / "evaluation.json", report.to_json())
        with replacing(options.out / "evaluation.md") as file:
            file.write(f"{report.to_markdown()}\n".encode("utf-8", errors="backslashreplace"))
        with _told_what_to_install():
            if "thresholds" in report.curves:
                plot_thresholds(report, options.out / f"thresholds.{options.plot_format}")
            if "precision" in report.curves:
                plot_precision_recall(report, options.out / f"precision-recall.{options.plot_format}")
        if options.gallery is not None:
            numbers = {record.id: number for number, record in enumerate(main.split)}
            best, worst = (
                [exhibit(row, main.split, numbers[row.id], main.maps, self._settings) for row in part]
                for part in extremes(rows, options.gallery)
            )
            write_gallery(options.out / "gallery.html", f"{main.split.dataset} {main.split.name}", best, worst)

    def _headline(self, done: Pass) -> float:
        """What wsolevaluation's script prints last, in percent, in its own order of operations."""
        if done.largest is None or done.any is None:
            assert done.pixels is not None
            return float(done.pixels.compute()["pxap"]) * 100
        metric = done.any if self._options.multi_contour else done.largest
        counts = metric.right[0].numpy()
        best = [float((row * 100.0 / float(metric.images)).max()) for row in counts]
        if self._options.multi_iou or 50 not in self._options.iou:
            return float(np.average(best))
        return best[self._options.iou.index(50)]

    def _skip(self, error: ValueError) -> None:
        if not self._options.skip_bad:
            raise error
        self._skipped += 1
        say(f"skipped {error}", error=True)

    @contextlib.contextmanager
    def _progress(self, what: str, truth: Truth) -> Iterator[Callable[[int], object]]:
        count = sum(boxes is not None for boxes in truth)
        # disable=None: shown on a terminal alone.
        with tqdm(total=count, desc=what, unit="image", disable=None, file=sys.stderr, leave=False) as progress:
            yield progress.update


def _class_map(path: Path, names: tuple[str, ...], known: int) -> dict[int, tuple[int, ...]]:
    """Read lines of a class's name or number, and after a comma the network's class numbers."""
    lines = read_table(path, ("class", "numbers"), separator=",")
    labels = {**{str(label): label for label in range(len(names))}, **{name: label for label, name in enumerate(names)}}
    found: dict[int, tuple[int, ...]] = {}
    for name, line in lines.items():
        if name not in labels:
            raise line.error(f"{name!r} is no class of the data: neither a name nor a number below {len(names)}")
        try:
            numbers = tuple(int(part) for part in line.fields[1].split(","))
        except ValueError:
            raise line.error(f"expected the network's class numbers, got {line.fields[1]!r}") from None
        if not all(0 <= number < known for number in numbers):
            raise line.error(f"class numbers must lie in [0, {known}), got {line.fields[1]}")
        found[labels[name]] = numbers
    missing = [name for label, name in enumerate(names) if label not in found]
    if missing:
        raise DataError(f"{path}: no line for {', '.join(missing[:5])}{' and others' if len(missing) > 5 else ''}")
    return found


@contextlib.contextmanager
def _told_what_to_install() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise click.ClickException(str(error)) from error
