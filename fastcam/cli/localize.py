"""``fastcam localize``: boxes for picture files."""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click
from tqdm import tqdm

from fastcam.cli.batches import Located, Settings, locate
from fastcam.cli.network import Network, NetworkOptions, load_network
from fastcam.cli.overlays import short_names, unique_names
from fastcam.cli.sizes import parsed_size
from fastcam.cli.terminal import say, table
from fastcam.draw import overlay
from fastcam.export import Detection, Picture, coco_dataset, coco_results, write_csv, write_json, write_picture
from fastcam.images import PictureError, find_pictures
from fastcam.models import BUILTIN
from fastcam.protocol import NAMED, Protocol

__all__ = ["localize"]


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATHS...")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for boxes.csv, boxes.json, dataset.json and overlays/; made if it is not there.",
)
@click.option(
    "--model",
    default="efficientnet-lite0",
    show_default=True,
    metavar="NAME",
    help=f"A built-in model ({', '.join(BUILTIN)}), or package.module:factory, called without arguments.",
)
@click.option(
    "--weights", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A state dict for the model."
)
@click.option(
    "--features", metavar="MODULE[:input]", help="Module that gives the features. [default: the model's, or layer4]"
)
@click.option("--classifier", metavar="MODULE", help="The last, linear layer. [default: the model's, or fc]")
@click.option(
    "--classes", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Class names, one a line."
)
@click.option(
    "--input-size",
    callback=parsed_size,
    metavar="H[xW]",
    help="Input of the network in pixels. [default: the model's, or 224]",
)
@click.option(
    "--mean", type=float, nargs=3, help="Mean of R, G and B, white being 1. [default: the model's, or ImageNet's]"
)
@click.option("--std", type=float, nargs=3, help="Their standard deviation. [default: the model's, or ImageNet's]")
@click.option(
    "--top-k", type=click.IntRange(min=1), default=1, show_default=True, help="Classes per picture, best first."
)
@click.option("--protocol", type=click.Choice(list(NAMED)), default="paper", show_default=True, help="From map to box.")
@click.option("--percentile", type=float, help="Overrides the protocol's, in [0, 100].")
@click.option("--threshold", type=float, help="Overrides the protocol's, in [0, 1].")
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
@click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, ... [default: cuda where there is one]")
@click.option("--no-overlay", is_flag=True, help="Write no pictures.")
def localize(
    paths: tuple[str, ...],
    out: Path,
    top_k: int,
    protocol: str,
    percentile: float | None,
    threshold: float | None,
    at: str,
    batch_size: int | None,
    no_overlay: bool,
    **network_options: Any,  # noqa: ANN401
) -> None:
    """Find the object in each picture: PATHS are files, folders (with what is below them) or globs.

    Writes boxes.csv (file, class_id, class, score, x0, y0, x1, y1, ms), boxes.json (COCO results), dataset.json (what
    its image and category ids mean) and, for each picture, an overlay of heat map and boxes. Boxes are in pixels of
    the picture, x1 and y1 exclusive; ms is the network and the localization, the batch's time divided by its size.

    A picture that cannot be read is named and skipped, and the exit status is then 1.
    """
    chosen = _protocol(protocol, percentile, threshold)
    try:
        pictures = find_pictures(paths, exclude=out)
        out.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.BadParameter(str(error), param_hint="--out") from error
    network = load_network(NetworkOptions(**network_options))
    if top_k > network.localizer.num_classes:
        raise click.BadParameter(f"{top_k} of {network.localizer.num_classes} classes", param_hint="--top-k")
    # On a CPU larger batches overflow the cache and are slower.
    batch_size = batch_size or (4 if network.device.type == "cpu" else 16)
    settings = Settings(batch_size, top_k, chosen, at_original=at == "original", keep_pictures=not no_overlay)
    with _spoken_warnings(), _gentle_termination():
        skipped = _run(network, pictures, settings, out)
    if skipped:
        sys.exit(1)


def _run(network: Network, paths: list[Path], settings: Settings, out: Path) -> int:
    """Localize, write and tell; return how many pictures were skipped."""
    short = short_names(paths)
    places = unique_names(short)
    pictures: list[Picture] = []
    detections: list[Detection] = []
    unreadable: list[PictureError] = []

    # disable=None: shown on a terminal alone.
    with tqdm(total=len(paths), unit="picture", disable=None, file=sys.stderr, leave=False) as progress:

        def skip(error: PictureError) -> None:
            unreadable.append(error)
            say(f"skipped {error}", error=True)
            progress.update()

        # Whatever ends the run, what it has found so far is written.
        complete = False
        try:
            for located in locate(network, paths, settings, skip):
                if settings.keep_pictures:
                    _write_overlay(out / "overlays" / places[located.picture.file], located)
                pictures.append(located.picture)
                detections += located.detections
                progress.update()
            complete = True
        finally:
            write_csv(out / "boxes.csv", detections)
            write_json(out / "dataset.json", coco_dataset(pictures, network.classes))
            write_json(out / "boxes.json", coco_results(detections))
            if not complete:
                say(f"stopped; the results of {_counted(len(pictures))} are in {out}", error=True)
    if detections:
        say(table(detections, short))
    skipped = f"; {len(unreadable)} skipped" if unreadable else ""
    say(f"{_counted(len(pictures))} localized, results in {out}{skipped}", error=True)
    return len(unreadable)


def _counted(pictures: int) -> str:
    return f"{pictures} picture{'' if pictures == 1 else 's'}"


def _write_overlay(path: Path, located: Located) -> None:
    assert located.pixels is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    captions = [f"{found.class_name} {found.score:.2f}" for found in located.detections]
    boxes = [found.box for found in located.detections]
    write_picture(path, overlay(located.pixels, located.heat, boxes, captions))


def _protocol(name: str, percentile: float | None, threshold: float | None) -> Protocol:
    given = {"percentile": percentile, "threshold": threshold}
    try:
        return NAMED[name].replace(**{field: value for field, value in given.items() if value is not None})
    except ValueError as error:
        raise click.UsageError(str(error)) from error


@contextmanager
def _spoken_warnings() -> Iterator[None]:
    """Print warnings as one line, without the place in the source that Python adds."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: say(f"warning: {message}", error=True)
        yield


@contextmanager
def _gentle_termination() -> Iterator[None]:
    """Let SIGTERM, as batch systems send it, end the run like Ctrl-C: by an exception, so that results are written."""

    def stop(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
