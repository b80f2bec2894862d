"""``fastcam evaluate``: the field's numbers for score maps, or for a network on a data set."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import Any

import click

from fastcam.cli.checkpoint import trained_size
from fastcam.cli.evaluation import Evaluation, Options
from fastcam.cli.network import NetworkOptions
from fastcam.cli.sizes import parsed_size
from fastcam.cli.terminal import say
from fastcam.data import GEOMETRIES, DataError, Geometry
from fastcam.evaluation.score_maps import ScoreMapError
from fastcam.images import PictureError
from fastcam.protocol import NAMED, Protocol

__all__ = ["evaluate"]

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_LISTS = ("--iou", "--iou_threshold_list")


class _Command(click.Command):
    """Lets ``--iou 30 50 70`` be one option with several values, as wsolevaluation's script has it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spread: list[str] = []
        name = None
        for arg in args:
            if name is not None and arg.isdigit() and spread[-1] != name:
                spread += [name, arg]
                continue
            if arg.startswith("-"):
                name = arg if arg in _LISTS else None
            spread.append(arg)
        return super().parse_args(ctx, spread)


def _thresholds(_context: click.Context, _parameter: click.Parameter, interval: float) -> int:
    count = round(1 / interval) if 0 < interval <= 1 and math.isfinite(interval) else 0
    if count < 1 or abs(count * interval - 1) > 1e-9:
        raise click.BadParameter(f"{interval:g} must divide 1, as 0.001 and 0.01 do")
    return count


@click.command(cls=_Command)
@click.option(
    "--scoremaps",
    "--scoremap_root",
    "scoremaps",
    type=click.Path(exists=True, path_type=Path),
    help="Score maps: a folder of <image id>.npy or .npz, or one .npz with all of them.",
)
@click.option("--metadata", "--metadata_root", "metadata", type=_FOLDER, help="Metadata folder of wsolevaluation.")
@click.option("--masks", "--mask_root", "masks", type=_FOLDER, help="Folder of the masks (OpenImages30K).")
@click.option("--images", type=_FOLDER, help="With --metadata: folder of the pictures.")
@click.option("--data", type=_FOLDER, help="In place of --metadata: a data set in its own folder.")
@click.option("--boxes", type=_FOLDER, help="With --data: ImageNet's XML files.")
@click.option("--dataset", "--dataset_name", "dataset", default="", help="Its name below --metadata: CUB, ILSVRC, ...")
@click.option("--split", default="test", show_default=True, help="Which part of it.")
@click.option(
    "--cam-curve-interval",
    "--cam_curve_interval",
    "num_thresholds",
    type=float,
    default=0.001,
    show_default=True,
    callback=_thresholds,
    help="Steps between the thresholds. The published numbers have 0.001, wsolevaluation's script by default 0.01.",
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
    *_LISTS,
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
@click.option("--threshold-from", metavar="SPLIT", help="Choose thresholds on this part too, not only on the same one.")
@click.option("--mean-box-from", metavar="SPLIT", help="Part that the mean box is of. [default: train, else val]")
@click.option("--checkpoint", type=_FILE, help="Weights of the network, in place of --scoremaps.")
@click.option("--model", metavar="NAME", help="The network: one of fastcam's, or package.module:factory.")
@click.option(
    "--pooling", type=click.Choice(["gap", "tap", "gmp", "lse"]), help="Of the network. [default: as trained]"
)
@click.option("--features", metavar="MODULE[:input]", help="See fastcam localize.")
@click.option("--classifier", metavar="MODULE", help="See fastcam localize.")
@click.option("--classes", type=_FILE, help="Names of the network's classes, one a line.")
@click.option(
    "--input-size",
    metavar="H[xW]",
    callback=parsed_size,
    help="With --geometry resize. [default: as trained, else 224x224]",
)
@click.option("--mean", type=float, nargs=3, help="See fastcam localize.")
@click.option("--std", type=float, nargs=3, help="See fastcam localize.")
@click.option("--device", metavar="DEVICE", help="cpu, cuda, ... [default: cuda where there is one]")
@click.option(
    "--map-class",
    type=click.Choice(["true", "predicted"]),
    default="true",
    show_default=True,
    help="Whose map is evaluated: the true class's, or the one the network predicts, where it knows other classes.",
)
@click.option("--class-map", type=_FILE, help="For each class of the data those of the network: class,number[,...].")
@click.option(
    "--protocol", type=click.Choice(list(NAMED)), default="paper", show_default=True, help="GT-Loc, Top-k Loc."
)
@click.option("--percentile", type=float, help="Overrides the protocol's, in [0, 100].")
@click.option("--threshold", type=float, help="Overrides the protocol's, in [0, 1].")
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
    multi_contour_eval: bool | None,
    multi_iou_eval: bool | None,
    geometry: str,
    workers: int | None,
    protocol: str,
    percentile: float | None,
    threshold: float | None,
    **given: Any,  # noqa: ANN401
) -> None:
    """Evaluate localization: MaxBoxAcc and MaxBoxAccV2 against boxes, PxAP against masks.

    Give --scoremaps, or a network with --model and --checkpoint, which adds Cls, GT-Loc and Top-k Loc. Beside them
    stand the numbers of what needs no network: the whole image, a centred box, the mean training box, a centred
    Gaussian. A threshold that is the best on the very images that are counted is called an oracle.

    Score maps of the evaluated size (224x224) must lie in [0, 1] and are used as they are, with the result of
    wsolevaluation to the last digit; smaller ones are raw, and resized and normalized as it does. The options of its
    evaluation.py work by its names too.
    """
    network = {name: given.pop(name) for name in ("features", "classifier", "classes", "mean", "std", "device")}
    size, checkpoint = given.pop("input_size"), given.pop("checkpoint")
    given["multi_contour"] = given["multi_contour"] or bool(multi_contour_eval)
    given["multi_iou"] = given["multi_iou"] or bool(multi_iou_eval)
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    options = Options(
        geometry=_geometry(geometry, size, checkpoint),
        geometry_name=geometry,
        workers=min(8, processors - 1) if workers is None else workers,
        protocol=_protocol(protocol, percentile, threshold),
        protocol_name=protocol,
        network=NetworkOptions("efficientnet-lite0", weights=checkpoint, input_size=size, **network),
        **given,
    )
    _check(options)
    try:
        skipped = Evaluation(options).run()
    except (DataError, PictureError, ScoreMapError) as error:
        hint = "" if isinstance(error, DataError) else " (--skip-bad leaves it out)"
        raise click.ClickException(f"{error}{hint}") from error
    if skipped:
        say(f"{skipped} skipped", error=True)
        sys.exit(1)


def _check(options: Options) -> None:
    """Refuse what contradicts itself before anything is read."""
    network = options.network.weights is not None or options.model is not None
    if (options.scoremaps is None) == (not network):
        raise click.UsageError("give either --scoremaps, or a network by --checkpoint or --model")
    if (options.data is None) == (options.metadata is None):
        raise click.UsageError("give either --data or --metadata")
    if network and options.metadata is not None and options.images is None:
        raise click.UsageError("a network needs the pictures: give --images beside --metadata")
    if options.gallery is not None and options.out is None:
        raise click.UsageError("--gallery needs --out, the folder it is written to")
    if options.scoremaps_out is not None and not network:
        raise click.UsageError("--scoremaps-out keeps the maps of a network: give --checkpoint or --model")
    if len(set(options.iou)) < len(options.iou):
        raise click.BadParameter(f"{' '.join(map(str, options.iou))} has one twice", param_hint="--iou")
    for name, path in (("--per-image", options.per_image), ("--scoremaps-out", options.scoremaps_out)):
        if path is not None and not path.parent.is_dir():
            raise click.BadParameter(f"{path.parent} is not a folder", param_hint=name)


def _geometry(name: str, size: tuple[int, int] | None, checkpoint: Path | None) -> Geometry:
    if size is None:
        trained = trained_size(checkpoint) if name == "resize" else None
        return GEOMETRIES[name] if trained is None else Geometry(trained)
    if name != "resize":
        raise click.UsageError("--input-size goes with --geometry resize")
    try:
        return Geometry(size)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--input-size") from error


def _protocol(name: str, percentile: float | None, threshold: float | None) -> Protocol:
    given = {"percentile": percentile, "threshold": threshold}
    try:
        return NAMED[name].replace(**{field: value for field, value in given.items() if value is not None})
    except ValueError as error:
        raise click.UsageError(str(error)) from error
