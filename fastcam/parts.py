"""What each process of a run has found so far, on the disk batch by batch: :class:`Parts`.

A process appends a line of JSON to its own file when a batch is done. Killed in the middle of a line, it does that
batch again and no other; the rows of all files are put together when every process has ended.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Final

from fastcam.files import naming, write_whole
from fastcam.images import PictureError
from fastcam.processes import Processes
from fastcam.result_files import Detection, Picture

__all__ = ["PARTS", "Parts", "PartsError", "digest"]

PARTS: Final = ".fastcam-parts"
"""The folder, in that of the results, in which the parts are until they are put together."""

_PLAN: Final = "run.json"


class PartsError(ValueError):
    """Parts of a run that cannot be gone on with, or put together; they are left as they are."""


class Parts:
    """The parts of a run: this process adds to its own, and the first one puts all together.

    Args:
        out: the folder of the results, which all processes see.
        plan: what the run is of. A run that goes on must be of the same; values that JSON can hold.
        processes: of the run, each of which makes its own.
        resume: keep what is done; otherwise what is there is removed.

    Attributes:
        done: numbers of the pictures that this process has done before, those that could not be read among them.

    Raises:
        PartsError: the parts are of another run.
        OSError: they cannot be read or written.
        ProcessError: another process has ended.

    Example:
        >>> import tempfile
        >>> from fastcam.processes import ALONE
        >>> cat = Detection(Picture(1, "cat.png", 451, 300), 285, "cat", 0.5, (46, 0, 397, 300), 9.5)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Parts(Path(folder), {"pictures": 1}, ALONE, resume=True) as parts:
        ...         parts.add([1], [cat.picture], [cat], {})
        ...     with Parts(Path(folder), {"pictures": 1}, ALONE, resume=True) as parts:
        ...         parts.done, parts.together(1) == ([cat.picture], [cat], [])
        ({1}, True)
    """

    def __init__(self, out: Path, plan: Mapping[str, Any], processes: Processes, *, resume: bool) -> None:
        self._folder, self._processes = out / PARTS, processes
        plan = {"processes": processes.count, **plan}
        if processes.first:
            self._prepare(plan, resume=resume)
        processes.wait()
        self.done: set[int] = set()
        path = self._path(processes.rank)
        length = 0
        for end, entry in _entries(path) if path.exists() else ():
            self.done.update(entry["numbers"])
            length = end
        # What was cut off is written again.
        with naming(path):
            self._file: BinaryIO = open(path, "ab")  # noqa: SIM115 (closed by __exit__)
            self._file.truncate(length)

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _path(self, rank: int) -> Path:
        return self._folder / f"{rank}.jsonl"

    def _prepare(self, plan: Mapping[str, Any], *, resume: bool) -> None:
        if not resume and self._folder.exists():
            shutil.rmtree(self._folder)
        file = self._folder / _PLAN
        if file.exists():
            before = json.loads(file.read_text(encoding="utf-8"))
            for name in plan:
                if before.get(name) != plan[name]:
                    raise PartsError(
                        f"{self._folder}: the run that is there cannot be gone on with: its {name} was "
                        f"{before.get(name)!r} and is {plan[name]!r} now; without --resume it is begun anew"
                    )
            return
        self._folder.mkdir(exist_ok=True)
        write_whole({file: json.dumps(plan).encode()})

    def add(
        self,
        numbers: Sequence[int],
        pictures: Sequence[Picture],
        detections: Sequence[Detection],
        skipped: Mapping[int, PictureError],
    ) -> None:
        """Keep what came of a batch.

        Args:
            numbers: of its pictures, all of them.
            pictures: those that were localized.
            detections: their boxes.
            skipped: why others could not be read, by their numbers.

        Raises:
            OSError: it cannot be written, as on a full disk; the message names the file.
        """
        entry = {
            "numbers": list(numbers),
            "pictures": [asdict(one) for one in pictures],
            "detections": [{**asdict(one), "picture": one.picture.id} for one in detections],
            "skipped": {number: str(error) for number, error in skipped.items()},
        }
        # Lone surrogates, of file names that are not UTF-8, are escaped by JSON.
        with naming(self._path(self._processes.rank)):
            self._file.write(f"{json.dumps(entry)}\n".encode())
            self._file.flush()
            os.fsync(self._file.fileno())

    def together(self, count: int) -> tuple[list[Picture], list[Detection], list[PictureError]]:
        """Put the parts of all processes together, in the order of the pictures.

        Args:
            count: how many pictures there are.

        Returns:
            The pictures that were localized, their boxes, and why others could not be read.

        Raises:
            PartsError: pictures are missing, because a part is.
        """
        pictures: dict[int, Picture] = {}
        detections: dict[int, list[Detection]] = {}
        skipped: dict[int, PictureError] = {}
        for rank in range(self._processes.count):
            for _, entry in _entries(self._path(rank)):
                for one in entry["pictures"]:
                    pictures[one["id"]], detections[one["id"]] = Picture(**one), []
                for one in entry["detections"]:
                    number = one.pop("picture")
                    detections[number].append(Detection(pictures[number], **{**one, "box": tuple(one["box"])}))
                skipped |= {int(number): PictureError(text) for number, text in entry["skipped"].items()}
        missing = count - len(pictures.keys() | skipped.keys())
        if missing:
            raise PartsError(f"{self._folder}: {missing} of {count} pictures are in no part; --resume localizes them")
        ordered = sorted(pictures)
        boxes = [found for number in ordered for found in detections[number]]
        return [pictures[number] for number in ordered], boxes, [skipped[number] for number in sorted(skipped)]

    def remove(self) -> None:
        """Remove the parts of all processes: their rows are in the results."""
        shutil.rmtree(self._folder, ignore_errors=True)


def digest(texts: Sequence[str]) -> str:
    """Return what tells lists of texts apart, as hexadecimal digits.

    Example:
        >>> digest(["a", "b"]) == digest(["ab"])
        False
    """
    found = hashlib.sha256()
    for text in texts:
        found.update(text.encode("utf-8", "surrogateescape") + b"\0")
    return found.hexdigest()


def _entries(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The batches in a part, and how long the file is up to the end of each; what is cut off at its end is not."""
    length = 0
    try:
        with open(path, "rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    length += len(line)
                    yield length, json.loads(line)
    except FileNotFoundError as error:
        raise PartsError(f"{path}: missing, a part of the results; --resume makes it again") from error
    except ValueError as error:
        raise PartsError(f"{path}: not a part of a run: {error}") from error
