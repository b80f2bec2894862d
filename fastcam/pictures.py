"""From picture files to boxes in files: :func:`localize_files`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcam.draw import overlay
from fastcam.export import Detection, Picture, coco_dataset, coco_results, write_csv, write_json, write_picture
from fastcam.images import MOST_PIXELS, PictureError, read_picture
from fastcam.network import At, Network
from fastcam.protocol import PAPER, Protocol

__all__ = ["FileSettings", "Results", "localize_files", "overlay_names", "short_names"]

# Photographs stay in their own format, up to its longest side; every other picture becomes a PNG.
_LONGEST = {".jpg": 65_535, ".jpeg": 65_535, ".png": 2**31 - 1, ".webp": 16_383}


@dataclass(frozen=True)
class FileSettings:
    """How files are localized.

    Attributes:
        top_k: classes per picture, best first.
        protocol: how a map becomes a box.
        at: find boxes at the network's input size and scale them, or at the picture's own size.
        batch_size: pictures that go through the network together; None: as many as suit its device.
        overlays: write a picture of heat map and boxes for each.
        most_pixels: a picture with more is skipped, by its header.
    """

    top_k: int = 1
    protocol: Protocol = PAPER
    at: At = "input"
    batch_size: int | None = None
    overlays: bool = True
    most_pixels: int = MOST_PIXELS


@dataclass
class Results:
    """What came of a run, also of one that did not end.

    Attributes:
        pictures: those localized, in order.
        detections: their boxes, each picture's best class first.
        skipped: why pictures could not be read.
        complete: whether the run ended.
    """

    pictures: list[Picture] = field(default_factory=list)
    detections: list[Detection] = field(default_factory=list)
    skipped: list[PictureError] = field(default_factory=list)
    complete: bool = False


@dataclass(frozen=True)
class _Read:
    picture: Picture
    pixels: NDArray[np.uint8]


def localize_files(
    network: Network,
    paths: Sequence[Path],
    out: Path,
    settings: FileSettings = FileSettings(),
    *,
    results: Results | None = None,
    on_skipped: Callable[[PictureError], object] = lambda _: None,
    on_progress: Callable[[int], object] = lambda _: None,
) -> Results:
    """Localize picture files and write boxes.csv, boxes.json, dataset.json and overlays/.

    Whatever ends the run, what it has found so far is written. No more than one batch of pictures is in memory.

    Args:
        network: what to run.
        paths: the pictures; their place in the list, from 1, is their id.
        out: the folder to write to, which must exist.
        settings: how.
        results: is filled as the run goes on, for who wants to know of a run that does not end.
        on_skipped: called for each picture that cannot be read, which is then left out.
        on_progress: called with the number of pictures done since it was called last.

    Returns:
        The :class:`Results`. The time of a picture is its batch's, from the transfer of the inputs to the boxes,
        divided by the number of pictures in it; reading, resizing and drawing are not in it.
    """
    results = Results() if results is None else results
    names = overlay_names(short_names(paths))
    try:
        size = settings.batch_size or network.batch_size
        for batch in _batches(paths, size, settings.most_pixels, results, on_skipped, on_progress):
            for one, detections, heat in _located(network, batch, settings):
                if settings.overlays:
                    _write_overlay(out / "overlays" / names[one.picture.file], one.pixels, heat, detections)
                results.pictures.append(one.picture)
                results.detections += detections
                on_progress(1)
        results.complete = True
    finally:
        write_csv(out / "boxes.csv", results.detections)
        write_json(out / "dataset.json", coco_dataset(results.pictures, network.classes))
        write_json(out / "boxes.json", coco_results(results.detections))
    return results


def _batches(
    paths: Sequence[Path],
    size: int,
    most_pixels: int,
    results: Results,
    on_skipped: Callable[[PictureError], object],
    on_progress: Callable[[int], object],
) -> Iterator[list[_Read]]:
    for start in range(0, len(paths), size):
        batch = []
        for number, path in enumerate(paths[start : start + size], start + 1):
            try:
                pixels = read_picture(path, most_pixels=most_pixels)
            except PictureError as error:
                results.skipped.append(error)
                on_skipped(error)
                on_progress(1)
                continue
            batch.append(_Read(Picture(number, str(path), width=pixels.shape[1], height=pixels.shape[0]), pixels))
        if batch:
            yield batch


def _located(
    network: Network, batch: list[_Read], settings: FileSettings
) -> Iterator[tuple[_Read, list[Detection], NDArray[Any] | None]]:
    """Localize a batch: each picture with its boxes, and where overlays are wanted the map of its first class."""
    images = network.images([one.pixels for one in batch])
    sizes = [(one.picture.height, one.picture.width) for one in batch]
    started = time.perf_counter()
    # The boxes are read to the host, which waits for the device: the clock stops when they are there.
    found = network.find(
        images,
        sizes,
        top_k=settings.top_k,
        at=settings.at,
        protocol=settings.protocol,
        return_maps=settings.overlays,
    )
    milliseconds = (time.perf_counter() - started) * 1000 / len(batch)
    for one, its in zip(batch, found, strict=True):
        rows = zip(its.labels.tolist(), its.names, its.scores.tolist(), its.boxes.tolist(), strict=True)
        detections = [
            Detection(one.picture, label, name, score, (box[0], box[1], box[2], box[3]), milliseconds)
            for label, name, score, box in rows
        ]
        yield one, detections, None if its.maps is None else its.maps[0]


def _write_overlay(
    path: Path, pixels: NDArray[np.uint8], heat: NDArray[Any] | None, detections: Sequence[Detection]
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if max(pixels.shape) > _LONGEST[path.suffix.lower()]:
        path = path.with_name(f"{path.name}.png")
    captions = [f"{found.class_name} {found.score:.2f}" for found in detections]
    write_picture(path, overlay(pixels, heat, [found.box for found in detections], captions))


def short_names(pictures: Sequence[Path]) -> dict[str, Path]:
    """Give each picture its path below the folder that all of them share.

    Example:
        >>> {path: short.as_posix() for path, short in short_names([Path("in/a/x.png"), Path("in/b/x.png")]).items()}
        {'in/a/x.png': 'a/x.png', 'in/b/x.png': 'b/x.png'}
    """
    full = [os.path.abspath(picture) for picture in pictures]
    # On Windows two drives share no folder; then the drive is dropped.
    drives = {os.path.splitdrive(path)[0] for path in full}
    root = os.path.commonpath([os.path.dirname(path) for path in full]) if len(drives) == 1 else ""
    return {
        str(picture): Path(os.path.relpath(path, root) if root else os.path.splitdrive(path)[1].lstrip(os.sep))
        for picture, path in zip(pictures, full, strict=True)
    }


def overlay_names(names: dict[str, Path]) -> dict[str, Path]:
    """Give each overlay a name of its own, in a format that can be written.

    Args:
        names: short names by path.

    Returns:
        Names by path: the short name, ``.png`` appended where its format cannot be written, and a number where that
        is taken.

    Example:
        >>> overlay_names({"a.gif": Path("a.gif"), "a.gif.png": Path("a.gif.png")})["a.gif.png"].as_posix()
        'a.gif-2.png'
    """
    taken: set[str] = set()
    chosen = {}
    for path, name in names.items():
        wanted = name if name.suffix.lower() in _LONGEST else name.with_name(f"{name.name}.png")
        candidate, number = wanted, 1
        while str(candidate) in taken:
            number += 1
            candidate = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
        taken.add(str(candidate))
        chosen[path] = candidate
    return chosen
