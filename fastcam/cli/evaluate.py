"""``fastcam evaluate``: the field's numbers for score maps, or for a network on a data set."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import click
from tqdm import tqdm

from fastcam.cli.data_options import DataOptions, data_options, has_any_box, usual_workers
from fastcam.cli.drop_in import (
    LISTS,
    SpreadCommand,
    closing_line,
    is_drop_in,
    number_of_thresholds,
    parsed_interval,
)
from fastcam.cli.errors import message_of
from fastcam.cli.options import FILE, chosen_network, chosen_protocol, network_options, protocol_options
from fastcam.cli.terminal import say
from fastcam.data import DataError
from fastcam.evaluation import ClassesError, Outputs, Pass, Report, ScoreMapError, ScoreMaps, Settings
from fastcam.evaluation import evaluate as run
from fastcam.evaluation.loading import WorkerError
from fastcam.images import PictureError
from fastcam.inputs import GEOMETRIES, Inputs
from fastcam.lock import LockedError, locked
from fastcam.network import Network
from fastcam.processes import ProcessError, joined, told

__all__ = ["evaluate"]


@dataclass
class _Skips:
    """Names and counts what is skipped, where that is allowed; quiet where another process names it."""

    allowed: bool
    quiet: bool = False
    count: int = 0

    def __call__(self, error: ValueError) -> None:
        """Skip an image, or raise what is wrong with it."""
        if not self.allowed:
            raise error
        self.count += 1
        if not self.quiet:
            say(f"skipped {message_of(error)}", error=True)


@click.command(cls=SpreadCommand)
@click.option(
    "--scoremaps",
    "--scoremap_root",
    "scoremaps",
    type=click.Path(exists=True, path_type=Path),
    help="Score maps: a folder of <image id>.npy or .npz, or one .npz with all of them.",
)
@data_options
@click.option(
    "--cam-curve-interval",
    "--cam_curve_interval",
    "num_thresholds",
    type=float,
    callback=parsed_interval,
    help="Steps between the thresholds. The published numbers have 0.001. [default: 0.001; by wsolevaluation's option "
    "names 0.01, as its script]",
)
@click.option(
    "--multi-contour/--no-multi-contour",
    "multi_contour",
    help="The closing line is that of all contours (V2), not of the largest.",
)
@click.option("--multi-iou", is_flag=True, help="The closing line is the mean over --iou, not the number at 50.")
@click.option("--multi_contour_eval", type=bool, is_flag=False, flag_value=True, hidden=True)
@click.option("--multi_iou_eval", type=bool, is_flag=False, flag_value=True, hidden=True)
@click.option(
    *LISTS,
    "iou",
    type=click.IntRange(1, 100),
    multiple=True,
    default=(30, 50, 70),
    show_default=True,
    help="IoUs at which a box is right, in percent: --iou 30 50 70.",
)
@click.option(
    "--geometry",
    type=click.Choice(list(GEOMETRIES)),
    default="resize",
    show_default=True,
    help="Pictures at 224x224, or at 256x256 of which the middle 224x224.",
)
@network_options(
    weights="--checkpoint", weights_help="Weights of the network, in place of --scoremaps.", default_model=None
)
@click.option(
    "--pooling", type=click.Choice(["gap", "tap", "gmp", "lse"]), help="Of the network. [default: as trained]"
)
@click.option(
    "--map-class",
    type=click.Choice(["true", "predicted"]),
    default="true",
    show_default=True,
    help="Whose map is evaluated: the true class's, or the one the network predicts, where it knows other classes.",
)
@click.option("--class-map", type=FILE, help="For each class of the data those of the network: class,number[,...].")
@protocol_options("GT-Loc, Top-k Loc.")
@click.option("--scoremaps-out", type=click.Path(dir_okay=False, path_type=Path), help="Keep the network's maps: .npz.")
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True, help="Images at a time.")
@click.option("--workers", type=click.IntRange(min=0), help="Processes that read. [default: one less than processors]")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for evaluation.json, .md, plots.")
@click.option(
    "--plot-format", type=click.Choice(["png", "svg"]), default="png", show_default=True, help="Of the plots."
)
@click.option("--per-image", type=click.Path(dir_okay=False, path_type=Path), help="CSV with a line an image.")
@click.option("--gallery", type=click.IntRange(min=1), metavar="N", help="gallery.html in --out: N best, N worst.")
@click.option("--skip-bad", is_flag=True, help="Leave out and count what cannot be read; the exit status is then 1.")
def evaluate(
    scoremaps: Path | None,
    num_thresholds: int | None,
    multi_contour: bool,
    multi_iou: bool,
    multi_contour_eval: bool | None,
    multi_iou_eval: bool | None,
    iou: tuple[int, ...],
    geometry: Literal["resize", "crop"],
    map_class: Literal["true", "predicted"],
    class_map: Path | None,
    protocol: str,
    percentile: float | None,
    threshold: float | None,
    protocol_changes: tuple[str, ...],
    scoremaps_out: Path | None,
    batch_size: int,
    workers: int | None,
    out: Path | None,
    plot_format: Literal["png", "svg"],
    per_image: Path | None,
    gallery: int | None,
    skip_bad: bool,
    **given: Any,  # noqa: ANN401
) -> None:
    """Evaluate localization: MaxBoxAcc and MaxBoxAccV2 against boxes, PxAP against masks.

    Give --scoremaps, or a network with --model and --checkpoint, which adds Cls, GT-Loc and Top-k Loc. Beside them
    stand the numbers of what needs no network: the whole image, a centred box, the mean training box, a centred
    Gaussian. A threshold that is the best on the very images that are counted is called an oracle.

    Score maps of the evaluated size (224x224) must lie in [0, 1] and are used as they are, with the result of
    wsolevaluation to the last digit; smaller ones are raw, and resized and normalized as it does. The options of its
    evaluation.py work by its names too (--scoremap_root, ...), and then the last line and the step between thresholds
    are its own.

    Several processes, on one machine or many: torchrun --nproc-per-node 2 --no-python fastcam evaluate ...; they deal
    out the images, and the numbers and files are those of one process.
    """
    data = DataOptions(**{one.name: given.pop(one.name) for one in fields(DataOptions)})
    drop_in = is_drop_in()
    _check_source(scoremaps, data, given)
    _check_outputs(scoremaps, iou, out, per_image, gallery, scoremaps_out)
    count, remark = number_of_thresholds(num_thresholds, drop_in=drop_in)
    if remark and told().first:
        say(remark, error=True)
    settings = Settings(
        _inputs(geometry, given["input_size"]),
        tuple(level / 100 for level in iou),
        count,
        batch_size,
        usual_workers() if workers is None else workers,
    )
    chosen = chosen_protocol(protocol, percentile, threshold, protocol_changes)

    def tell(report: Report, done: Pass) -> None:
        say(report.to_markdown())
        several, mean = multi_contour or bool(multi_contour_eval), multi_iou or bool(multi_iou_eval)
        say(closing_line(done, multi_contour=several, mean=mean, drop_in=drop_in))

    with ExitStack() as opened, _click_errors(), joined() as processes:
        if out is not None and processes.first:
            opened.enter_context(locked(out))
        # All of them read the data.
        skips = _Skips(skip_bad, quiet=not processes.first)
        split, other = data.read_evaluated(skips)
        left_out = skips.count
        training = data.read_training(skips) if has_any_box(split) else None
        given["device"] = processes.device(given["device"])
        source = ScoreMaps(scoremaps) if scoremaps is not None else _network(geometry, given)
        done = run(
            source,
            split,
            settings,
            protocol=chosen,
            map_class=map_class,
            class_map=class_map,
            thresholds_from=other,
            training=training,
            outputs=Outputs(out, plot_format, gallery, per_image, scoremaps_out),
            on_skipped=_Skips(skip_bad),
            skipped=left_out,
            on_report=tell,
            progress=_progress,
            processes=processes,
        )
    _end(done.skipped + skips.count - left_out)


def _end(skipped: int) -> None:
    """Say how many images were skipped, and fail where there were any; one of several processes does."""
    if skipped and told().first:
        say(f"{skipped} skipped", error=True)
        sys.exit(1)


def _check_source(scoremaps: Path | None, data: DataOptions, network: dict[str, Any]) -> None:
    """Refuse what contradicts itself before anything is read."""
    asked = network["weights"] is not None or network["model"] is not None
    if (scoremaps is None) == (not asked):
        raise click.UsageError("give either --scoremaps, or a network by --checkpoint or --model")
    if (data.data is None) == (data.metadata is None):
        raise click.UsageError("give either --data or --metadata")
    if asked and data.metadata is not None and data.images is None:
        raise click.UsageError("a network needs the pictures: give --images beside --metadata")


def _check_outputs(
    scoremaps: Path | None,
    iou: tuple[int, ...],
    out: Path | None,
    per_image: Path | None,
    gallery: int | None,
    scoremaps_out: Path | None,
) -> None:
    """Likewise of what is written."""
    if gallery is not None and out is None:
        raise click.UsageError("--gallery needs --out, the folder it is written to")
    if scoremaps_out is not None and scoremaps is not None:
        raise click.UsageError("--scoremaps-out keeps the maps of a network: give --checkpoint or --model")
    if len(set(iou)) < len(iou):
        raise click.BadParameter(f"{' '.join(map(str, iou))} has one twice", param_hint="--iou")
    for name, path in (("--per-image", per_image), ("--scoremaps-out", scoremaps_out)):
        if path is not None and not path.parent.is_dir():
            raise click.BadParameter(f"{path.parent} is not a folder", param_hint=name)


def _inputs(geometry: str, size: tuple[int, int] | None) -> Inputs:
    """Which pixels of the pictures score maps are of."""
    if size is None:
        return GEOMETRIES[geometry]
    if geometry != "resize":
        raise click.UsageError("--input-size goes with --geometry resize")
    try:
        return Inputs(size)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--input-size") from error


def _network(geometry: str, options: dict[str, Any]) -> Network:
    """Load the network that the options ask for, with the geometry that they ask for."""
    network = chosen_network(weights_flag="--checkpoint", **options)
    inputs = network.inputs
    if geometry == "crop":
        inputs = inputs.replace(resize=GEOMETRIES[geometry].resize, crop=GEOMETRIES[geometry].crop, fit="stretch")
    elif inputs.crop is not None:
        inputs = inputs.replace(resize=inputs.size, crop=None, fit="stretch")
    return replace(network, name=str(options["weights"] or options["model"]), inputs=inputs)


@contextlib.contextmanager
def _click_errors() -> Iterator[None]:
    try:
        yield
    except ClassesError as error:
        raise click.UsageError(f"{message_of(error)} (see --class-map and --map-class)") from error
    except (DataError, PictureError, ScoreMapError) as error:
        hint = "" if isinstance(error, DataError) else " (--skip-bad leaves it out)"
        raise click.ClickException(f"{message_of(error)}{hint}") from error
    # OSError: what cannot be written; the numbers are printed by then.
    except (ImportError, LockedError, OSError, ProcessError, WorkerError) as error:
        raise click.ClickException(message_of(error)) from error


@contextlib.contextmanager
def _progress(name: str, count: int) -> Iterator[Callable[[int], object]]:
    # None: shown on a terminal alone.
    quiet = None if told().first else True
    with tqdm(total=count, desc=name, unit="image", disable=quiet, file=sys.stderr, leave=False) as progress:
        yield progress.update
