"""From picture files to boxes in files: :func:`localize_files`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcam.extractors import Probability
from fastcam.files import write_whole
from fastcam.folders import MARK, OVERLAYS
from fastcam.formats import USUAL, Run, check_folder, check_formats, first_file, is_beside, remove, write_run
from fastcam.images import MOST_PIXELS, PictureError, read_picture
from fastcam.network import At, Found, Network
from fastcam.overlays import overlay_names, short_names, write_overlay
from fastcam.parts import Parts, digest
from fastcam.processes import ALONE, Processes
from fastcam.protocol import PAPER, Protocol
from fastcam.result_files import Detection, Picture

__all__ = ["PARTIAL", "FileSettings", "Results", "check_folder", "localize_files", "overlay_names", "short_names"]

PARTIAL = ".partial"
"""In the names of the files that a run which did not end leaves beside those of an earlier one."""


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
    processes: Processes = ALONE,
    resume: bool = False,
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
        processes: that :func:`fastcam.processes.joined` connected, each of which calls this alike: they deal out the
            batches among themselves and keep what they have found in ``out``, and the first one puts it together.
        resume: keep what is found in ``out`` batch by batch, and leave out what a run with this, or one of several
            processes, has found before it was killed.
        results: is filled as the run goes on, for who wants to know of a run that does not end.
        on_skipped: called for each picture that cannot be read, which is then left out.
        on_progress: called with the number of pictures done since it was called last.

    Returns:
        The :class:`Results`, of several processes whole in the first one. The time of a picture is its batch's, from
        the transfer of the inputs to the boxes, divided by the number of pictures in it; reading, resizing and drawing
        are not in it.

    Raises:
        ImportError: a format needs a package that is not installed.
        ValueError: a format that does not exist, or that has one file for two of the pictures.
        OSError: a file cannot be written; the message names it.
        PartsError: what is to be gone on with is of another run, by its processes, pictures or settings.
        ProcessError: another process ended before its time.
    """
    results = Results() if results is None else results
    check_folder(out, overlays=settings.overlays, formats=settings.formats)
    check_formats(settings.formats, list(short_names(paths).values()))
    if settings.overlays and not (out / MARK).exists():
        write_whole({out / MARK: b"The overlays beside this file are of fastcam localize, no photographs.\n"})
    if processes.count > 1 or resume:
        return _in_parts(network, paths, out, settings, processes, resume, results, on_skipped, on_progress)
    try:
        for _ in _localized(network, list(enumerate(paths, 1)), paths, out, settings, results, on_skipped, on_progress):
            pass
        results.complete = True
    except BaseException:
        # What stopped the run is what there is to say, not that its results cannot be written either.
        with contextlib.suppress(OSError):
            _write_tables(out, network, results, paths, settings.formats)
        raise
    _write_tables(out, network, results, paths, settings.formats)
    return results


def _in_parts(
    network: Network,
    paths: Sequence[Path],
    out: Path,
    settings: FileSettings,
    processes: Processes,
    resume: bool,
    results: Results,
    on_skipped: Callable[[PictureError], object],
    on_progress: Callable[[int], object],
) -> Results:
    """Localize the share of this process, keeping each batch; the first process writes the results of all."""
    size = settings.batch_size or network.batch_size
    plan = {
        "network": network.name,
        "settings": repr(replace(settings, batch_size=size)),
        "pictures": len(paths),
        "list of pictures": digest(list(map(str, paths))),
    }
    with Parts(out, plan, processes, resume=resume) as parts:
        mine = processes.dealt(list(enumerate(paths, 1)), size)
        left = [one for one in mine if one[0] not in parts.done]
        on_progress(len(mine) - len(left))
        for numbers, pictures, detections, skipped in _localized(
            network, left, paths, out, settings, results, on_skipped, on_progress
        ):
            parts.add(numbers, pictures, detections, skipped)
        processes.wait()
        if processes.first:
            results.pictures, results.detections, results.skipped = parts.together(len(paths))
            # A run that fails here has not lost its parts.
            results.complete = True
            _write_tables(out, network, results, paths, settings.formats)
            parts.remove()
        # None ends before the results are there: torchrun would end the others when one fails.
        processes.wait()
    results.complete = True
    return results


_Batch = tuple[list[int], list[Picture], list[Detection], dict[int, PictureError]]


def _localized(
    network: Network,
    numbered: Sequence[tuple[int, Path]],
    paths: Sequence[Path],
    out: Path,
    settings: FileSettings,
    results: Results,
    on_skipped: Callable[[PictureError], object],
    on_progress: Callable[[int], object],
) -> Iterator[_Batch]:
    """Localize pictures batch by batch: the numbers of each, what is localized and found, and what cannot be read."""
    names = overlay_names(short_names(paths))
    size = settings.batch_size or network.batch_size
    for start in range(0, len(numbered), size):
        part = numbered[start : start + size]
        batch, skipped = _read_batch(part, settings.most_pixels)
        for error in skipped.values():
            results.skipped.append(error)
            on_skipped(error)
            on_progress(1)
        its: list[Detection] = []
        for one, detections, heat in _located(network, batch, settings) if batch else ():
            if settings.overlays:
                write_overlay(out / OVERLAYS / names[one.picture.file], one.pixels, heat, detections)
            results.pictures.append(one.picture)
            results.detections += detections
            its += detections
            on_progress(1)
        yield [number for number, _ in part], [one.picture for one in batch], its, skipped


def _write_tables(out: Path, network: Network, results: Results, paths: Sequence[Path], formats: Sequence[str]) -> None:
    suffix = PARTIAL if not results.complete and is_beside(out, formats) else ""
    run = Run(results.pictures, network.classes, results.detections, short_names(paths))
    write_run(out, run, formats, suffix)
    results.table = first_file(out, formats, suffix)
    if results.complete:
        remove(out, PARTIAL)


def _read_batch(numbered: Sequence[tuple[int, Path]], most_pixels: int) -> tuple[list[_Read], dict[int, PictureError]]:
    """Read pictures; why others cannot be read comes second, by their numbers."""
    batch, skipped = [], {}
    for number, path in numbered:
        try:
            pixels = read_picture(path, most_pixels=most_pixels)
        except PictureError as error:
            skipped[number] = error
        else:
            batch.append(_Read(Picture(number, str(path), width=pixels.shape[1], height=pixels.shape[0]), pixels))
    return batch, skipped


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
