"""From picture files to boxes in files: :func:`localize_files`."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcam.draw import overlay
from fastcam.extractors import Probability
from fastcam.files import write_whole
from fastcam.folders import MARK, OVERLAYS
from fastcam.formats import USUAL, Run, check_folder, check_formats, first_file, is_beside, remove, write_run
from fastcam.images import MOST_PIXELS, PictureError, read_picture
from fastcam.network import At, Found, Network
from fastcam.protocol import PAPER, Protocol
from fastcam.result_files import Detection, Picture, write_picture

__all__ = ["PARTIAL", "FileSettings", "Results", "check_folder", "localize_files", "overlay_names", "short_names"]

PARTIAL = ".partial"
"""In the names of the files that a run which did not end leaves beside those of an earlier one."""

_LONGEST_NAME = 255  # bytes, in nearly every file system
# Photographs stay in their own format, up to its longest side; every other picture becomes a PNG.
_LONGEST = {".jpg": 65_535, ".jpeg": 65_535, ".png": 2**31 - 1, ".webp": 16_383}


@dataclass(frozen=True)
class FileSettings:
    """How files are localized.

    Attributes:
        top_k: classes per picture, best first; None, with ``min_score``: as many as reach it.
        protocol: how a map becomes a box.
        at: find boxes at the network's input size and scale them, or at the picture's own size.
        batch_size: pictures that go through the network together; None: as many as suit its device.
        overlays: write a picture of heat map and boxes for each.
        most_pixels: a picture with more is skipped, by its header.
        formats: of the boxes' files, of :data:`fastcam.formats.FORMATS`.
        min_score: leave out classes of a lower probability; None: none.
        probability: of the classes, see :class:`fastcam.extractors.LocalizeOptions`.
    """

    top_k: int | None = 1
    protocol: Protocol = PAPER
    at: At = "input"
    batch_size: int | None = None
    overlays: bool = True
    most_pixels: int = MOST_PIXELS
    formats: tuple[str, ...] = USUAL
    min_score: float | None = None
    probability: Probability = "softmax"


@dataclass
class Results:
    """What came of a run, also of one that did not end.

    Attributes:
        pictures: those localized, in order.
        detections: their boxes, each picture's best class first.
        skipped: why pictures could not be read.
        complete: whether the run ended.
        table: where the boxes were written; None: nowhere, yet.
    """

    pictures: list[Picture] = field(default_factory=list)
    detections: list[Detection] = field(default_factory=list)
    skipped: list[PictureError] = field(default_factory=list)
    complete: bool = False
    table: Path | None = None


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
    """Localize picture files and write their boxes (boxes.csv, boxes.json and dataset.json) and overlays/.

    Whatever ends the run, what it has found so far is written; where the folder holds the boxes of an earlier run,
    beside them, as boxes.partial.csv and so on, which the next run that ends removes. Overlays are replaced one by one,
    and so are the files of formats that have one a picture. No more than one batch of pictures is in memory.

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

    Raises:
        ImportError: a format needs a package that is not installed.
        ValueError: a format that does not exist, or that has one file for two of the pictures.
        OSError: a file cannot be written; the message names it.
    """
    results = Results() if results is None else results
    check_folder(out, overlays=settings.overlays, formats=settings.formats)
    check_formats(settings.formats, list(short_names(paths).values()))
    if settings.overlays and not (out / MARK).exists():
        write_whole({out / MARK: b"The overlays beside this file are of fastcam localize, no photographs.\n"})
    names = overlay_names(short_names(paths))
    try:
        size = settings.batch_size or network.batch_size
        for batch in _batches(paths, size, settings.most_pixels, results, on_skipped, on_progress):
            for one, detections, heat in _located(network, batch, settings):
                if settings.overlays:
                    _write_overlay(out / OVERLAYS / names[one.picture.file], one.pixels, heat, detections)
                results.pictures.append(one.picture)
                results.detections += detections
                on_progress(1)
        results.complete = True
    except BaseException:
        # What stopped the run is what there is to say, not that its results cannot be written either.
        with contextlib.suppress(OSError):
            _write_tables(out, network, results, paths, settings.formats)
        raise
    _write_tables(out, network, results, paths, settings.formats)
    return results


def _write_tables(out: Path, network: Network, results: Results, paths: Sequence[Path], formats: Sequence[str]) -> None:
    suffix = PARTIAL if not results.complete and is_beside(out, formats) else ""
    run = Run(results.pictures, network.classes, results.detections, short_names(paths))
    write_run(out, run, formats, suffix)
    results.table = first_file(out, formats, suffix)
    if results.complete:
        remove(out, PARTIAL)


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
        min_score=settings.min_score,
        probability=settings.probability,
    )
    milliseconds = (time.perf_counter() - started) * 1000 / len(batch)
    for one, its in zip(batch, found, strict=True):
        rows = zip(its.labels.tolist(), its.names, its.scores.tolist(), its.boxes.tolist(), strict=True)
        detections = [
            Detection(one.picture, label, name, score, (box[0], box[1], box[2], box[3]), milliseconds)
            for label, name, score, box in rows
        ]
        yield one, detections, None if its.maps is None else _over(network, its, settings.at)


def _over(network: Network, found: Found, at: At) -> NDArray[Any]:
    """The map of the first class over the whole picture."""
    assert found.maps is not None
    heat: NDArray[Any] = found.maps[0]
    return heat if at == "original" else network.inputs.placed(found.size).over_picture(heat)


def _write_overlay(
    path: Path, pixels: NDArray[np.uint8], heat: NDArray[Any] | None, detections: Sequence[Detection]
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if max(pixels.shape) > _LONGEST[path.suffix.lower()]:
        path = path.with_name(_with_suffix(path.name, ".png"))
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
        is taken; cut short where it would be longer than a file system allows.

    Example:
        >>> overlay_names({"a.gif": Path("a.gif"), "a.gif.png": Path("a.gif.png")})["a.gif.png"].as_posix()
        'a.gif-2.png'
    """
    # A folder of pictures may be called as an overlay would be.
    taken = {str(parent) for name in names.values() for parent in name.parents}
    chosen = {}
    for path, name in names.items():
        suffix = name.suffix if name.suffix.lower() in _LONGEST else ".png"
        stem = name.stem if suffix == name.suffix else name.name
        candidate, number = name.with_name(_with_suffix(stem, suffix)), 1
        while str(candidate) in taken:
            number += 1
            candidate = name.with_name(_with_suffix(stem, f"-{number}{suffix}"))
        taken.add(str(candidate))
        chosen[path] = candidate
    return chosen


def _with_suffix(name: str, suffix: str) -> str:
    """Append to a file's name, which is cut short where the whole would be longer than file systems allow."""
    room = _LONGEST_NAME - len(os.fsencode(suffix))
    if len(os.fsencode(name)) > room:
        name = os.fsencode(name)[:room].decode("utf-8", errors="ignore")
    return name + suffix
