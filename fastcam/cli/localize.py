"""``fastcam localize``: boxes for picture files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, cast, get_args

import click
from tqdm import tqdm

from fastcam.cli.options import DEFAULT_MODEL, FILE, chosen_network, chosen_protocol, network_options, protocol_options
from fastcam.cli.terminal import say, table
from fastcam.extractors import Probability
from fastcam.folders import OVERLAYS, LeftOut, find_pictures
from fastcam.formats import FOLDERS, FORMATS, USUAL, check_folder, check_formats
from fastcam.images import MOST_PIXELS, PictureError
from fastcam.lock import LockedError, locked, remove_leftovers
from fastcam.network import At, Network
from fastcam.parts import PartsError
from fastcam.pictures import PARTIAL, FileSettings, Results, localize_files, short_names
from fastcam.processes import ProcessError, Processes, joined, told
from fastcam.protocol import Threshold

__all__ = ["localize"]


@click.command()
@click.argument("paths", nargs=-1, metavar="PATHS...")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the boxes' files and overlays/; made if it is not there.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(list(FORMATS)),
    multiple=True,
    default=USUAL,
    show_default=True,
    help="Of the boxes' files; may be given several times.",
)
@network_options(
    weights="--weights",
    weights_help="Weights for the model: of fastcam train, or a state dict.",
    default_model=DEFAULT_MODEL,
)
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    help="Classes per picture, best first. [default: 1, with --min-score as many as reach it]",
)
@click.option("--min-score", type=click.FloatRange(0, 1), help="Leave out classes of a lower probability, in [0, 1].")
@click.option(
    "--probability",
    type=click.Choice(get_args(Probability)),
    default="softmax",
    show_default=True,
    help="Of the classes: sigmoid for a network of several labels a picture.",
)
@protocol_options("From map to box.")
@click.option(
    "--at",
    type=click.Choice(["input", "original"]),
    default="input",
    show_default=True,
    help="Find boxes at the network's input size and scale them, or at the picture's own.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Pictures at a time. [default: 4, on a GPU 16]",
)
@click.option(
    "--most-pixels",
    type=click.IntRange(min=1),
    default=MOST_PIXELS,
    show_default=True,
    help="Skip pictures with more, by their headers.",
)
@click.option("--no-overlay", is_flag=True, help="Write no pictures.")
@click.option(
    "--from-list",
    "lists",
    type=FILE,
    multiple=True,
    help="A text file with a path a line; in place of PATHS or beside.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Keep what is found batch by batch, and go on where such a run, or one of several processes, was cut off.",
)
def localize(
    paths: tuple[str, ...],
    out: Path,
    formats: tuple[str, ...],
    top_k: int | None,
    min_score: float | None,
    probability: Probability,
    protocol: str,
    percentile: float | None,
    threshold: Threshold | None,
    protocol_changes: tuple[str, ...],
    at: str,
    batch_size: int | None,
    most_pixels: int,
    no_overlay: bool,
    lists: tuple[Path, ...],
    resume: bool,
    **network_options: Any,  # noqa: ANN401
) -> None:
    r"""Find the object in each picture: PATHS are files, folders (with what is below them) or globs.

    Writes boxes.csv (file, class_id, class, score, x0, y0, x1, y1, ms), boxes.json (COCO results), dataset.json (what
    its image and category ids mean) and, for each picture, an overlay of heat map and boxes. Boxes are in pixels of
    the picture, x1 and y1 exclusive; ms is the network and the localization, the batch's time divided by its size.

    \b
    --format says otherwise:
      csv      boxes.csv
      coco     boxes.json and dataset.json
      parquet  boxes.parquet, the columns of boxes.csv (needs pyarrow)
      yolo     labels/, a text file a picture (class cx cy w h, fractions of it), and classes.txt
      voc      Annotations/, an XML file a picture (pixels counted from 1, the last one inside)

    A picture that cannot be read is named and skipped, and so is what is not searched or read in a folder: folders that
    cannot be read, links to folders, raw formats. The exit status is then 1. Overlays of an earlier run are left out.

    A run that is stopped writes what it has; beside the boxes of an earlier run, as boxes.partial.csv and so on.

    Several processes, on one machine or many that share --out: torchrun --nproc-per-node 2 --no-python fastcam localize
    ...; they deal out the pictures, and the files are those of one process. What is cut off goes on with --resume.
    """
    chosen = chosen_protocol(protocol, percentile, threshold, protocol_changes)
    formats = tuple(dict.fromkeys(formats))
    _checked(out, overlays=not no_overlay, formats=formats)
    pictures, missed = _found((*paths, *_listed(lists)), out)
    try:
        check_formats(formats, list(short_names(pictures).values()))
    except (ImportError, ValueError) as error:
        raise click.BadParameter(str(error), param_hint="--format") from error
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.BadParameter(str(error), param_hint="--out") from error
    network = chosen_network(**{**network_options, "device": told().device(network_options["device"])})
    count = network.extractor.num_classes
    if top_k is not None and top_k > count:
        raise click.BadParameter(f"{top_k} of {count} classes", param_hint="--top-k")
    if top_k is None and min_score is None:
        top_k = 1
    of_classes: dict[str, Any] = {"min_score": min_score, "probability": probability}
    settings = FileSettings(
        top_k, chosen, cast("At", at), batch_size, not no_overlay, most_pixels, formats, **of_classes
    )
    try:
        with joined() as processes, locked(out) if processes.first else nullcontext():
            if processes.first:
                _remove_leftovers(out)
            processes.wait()
            skipped = _run(network, pictures, out, settings, missed, processes, resume=resume)
    except (LockedError, OSError, PartsError, ProcessError) as error:
        raise click.ClickException(str(error)) from error
    if skipped and processes.first:
        sys.exit(1)


def _listed(lists: tuple[Path, ...]) -> Iterator[str]:
    """The paths in text files; names of files may hold any bytes."""
    for path in lists:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            yield from (line.rstrip("\n") for line in file if line.strip())


def _remove_leftovers(out: Path) -> None:
    for name in (OVERLAYS, *FOLDERS):
        for folder, _, _ in os.walk(out / name):
            remove_leftovers(Path(folder))


def _checked(out: Path, *, overlays: bool, formats: tuple[str, ...]) -> None:
    try:
        check_folder(out, overlays=overlays, formats=formats)
    except OSError as error:
        raise click.BadParameter(f"{error.filename}: {error.strerror}", param_hint="--out") from error


def _found(paths: tuple[str, ...], out: Path) -> tuple[list[Path], int]:
    """Search for pictures and say what is left out; how many of it may be pictures comes second."""
    missed = 0

    def leave_out(one: LeftOut) -> None:
        nonlocal missed
        missed += one.missed
        if told().first:
            say(f"{'skipped' if one.missed else 'left out'} {one}", error=True)

    if not paths:
        raise click.UsageError("give PATHS, or a file of them by --from-list")
    try:
        return find_pictures(paths, exclude=out, on_left_out=leave_out), missed
    except FileNotFoundError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.BadParameter(str(error), param_hint="PATHS") from error


def _run(
    network: Network,
    paths: list[Path],
    out: Path,
    settings: FileSettings,
    missed: int,
    processes: Processes,
    *,
    resume: bool,
) -> int:
    """Localize and print; return how many pictures were skipped, with those that were missed before."""
    results = Results()

    def skip(error: PictureError) -> None:
        say(f"skipped {error}", error=True)

    in_parts = resume or processes.count > 1
    # None: shown on a terminal alone.
    quiet = None if processes.first else True
    count = -(-len(paths) // processes.count)
    with tqdm(total=count, unit="picture", disable=quiet, file=sys.stderr, leave=False) as progress:
        try:
            localize_files(
                network,
                paths,
                out,
                settings,
                processes=processes,
                resume=resume,
                results=results,
                on_skipped=skip,
                on_progress=progress.update,
            )
        finally:
            if not results.complete or (results.table is None and processes.first):
                kept = f"{out} keeps what is found; go on with --resume" if in_parts else _kept(results, out)
                say(f"stopped; {kept}", error=True)
                if results.table is None and results.detections and not in_parts:
                    # What failed first is what there is to say.
                    with suppress(click.ClickException):
                        say(table(results.detections, short_names(paths)))
    if not processes.first:
        return 0
    skipped = len(results.skipped) + missed
    try:
        if results.detections:
            say(table(results.detections, short_names(paths)))
    finally:
        last = f"; {skipped} skipped" if skipped else ""
        say(f"{_counted(results)} localized, results in {out}{last}", error=True)
    return skipped


def _kept(results: Results, out: Path) -> str:
    """What is left of a run that did not end, and where."""
    if results.table is None:
        return f"the results of {_counted(results)} cannot be written"
    if PARTIAL not in results.table.name:
        return f"the results of {_counted(results)} are in {out}"
    return f"the results of {_counted(results)} are in {results.table}, beside those of an earlier run"


def _counted(results: Results) -> str:
    count = len(results.pictures)
    return f"{count} picture{'' if count == 1 else 's'}"
