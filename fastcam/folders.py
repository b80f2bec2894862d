"""Which pictures files, folders and globs stand for: :func:`find_pictures`."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fastcam.result_files import CSV_COLUMNS

__all__ = ["MARK", "OVERLAYS", "RAW_SUFFIXES", "SUFFIXES", "LeftOut", "find_pictures", "holds_results"]

OVERLAYS = "overlays"
"""The folder, in that of the results, to which overlays are written."""

MARK = ".fastcam-overlays"
"""The file beside it that says so, written before the first overlay: a run may end before there is a boxes.csv."""

_READ = (
    ".apng .avif .bmp .dib .gif .j2k .jfif .jp2 .jpe .jpeg .jpf .jpg .jpx .mpo .pcx .pgm .png .pnm .ppm .psd .tga "
    ".tif .tiff .webp"
)
_NAMED = ".exr .hdr .heic .heif .hif .jxl .svg"
_RAW = ".3fr .arw .cr2 .cr3 .dng .erf .nef .nrw .orf .pef .raf .raw .rw2 .srw .x3f"

SUFFIXES = frozenset(f"{_READ} {_NAMED}".split())
"""What counts as a picture in a folder or a glob. A file named outright is read whatever it is called. What Pillow has
no decoder for (``.heic``; with pillow-heif registered it has one) counts too, so that it is named and not missed."""

RAW_SUFFIXES = frozenset(_RAW.split())
"""What cameras write before it is developed. Pillow would take the small preview in it for the picture."""


@dataclass(frozen=True)
class LeftOut:
    """What a folder holds and its search passes over.

    Attributes:
        path: a file or a folder.
        why: in words.
        missed: whether there may be pictures that are now missing; not so of results of an earlier run.
    """

    path: str
    why: str
    missed: bool = True

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


def find_pictures(
    paths: Iterable[str | os.PathLike[str]],
    *,
    exclude: str | os.PathLike[str] | None = None,
    on_left_out: Callable[[LeftOut], object] = lambda _: None,
) -> list[Path]:
    """List the pictures that files, folders and globs stand for, each once, in the order given.

    A folder stands for the pictures in it and below it, sorted, hidden ones left out; a glob (``**`` included) for the
    pictures and folders it matches. A path that exists is never taken for a glob, so ``photo[1].png`` is that file.
    Overlays that ``fastcam localize`` wrote (``overlays`` in a folder that :func:`holds_results`) do not count.

    Args:
        paths: files, folders, globs.
        exclude: the folder that the results go to: its ``overlays`` do not count either, and no file in them unless it
            is named outright.
        on_left_out: called for each folder that cannot be read, or is a link; each picture that is not a regular file,
            or is in a camera's raw format; and each folder of overlays.

    Returns:
        The paths, spelled as they were given.

    Raises:
        FileNotFoundError: a path that matches nothing, or a folder without a picture.
        OSError: a folder, named outright, that cannot be read.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("b.png", "a.jpg", "notes.txt", "c.nef"):
        ...         pathlib.Path(folder, name).touch()
        ...     [path.name for path in find_pictures([folder], on_left_out=lambda one: print(one.why))]
        a camera's raw format; develop it first
        ['a.jpg', 'b.png']
    """
    search = _Search(None if exclude is None else os.path.abspath(exclude), on_left_out)
    found: dict[str, Path] = {}
    for given in paths:
        path = os.fspath(given)
        matches = list(search.expand(path))
        if not matches:
            kind = "a folder without pictures" if os.path.isdir(path) else "no file, folder or glob that matches"
            raise FileNotFoundError(f"{path!r} is {kind} (looked for {' '.join(sorted(SUFFIXES))})")
        for match in matches:
            found.setdefault(os.path.abspath(match), match)
    return list(found.values())


def holds_results(folder: str | os.PathLike[str]) -> bool:
    """Whether ``fastcam localize`` wrote to a folder: by its mark, or the boxes.csv of a version that left none.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     holds_results(folder)
        False
    """
    if os.path.exists(os.path.join(folder, MARK)):
        return True
    try:
        with open(os.path.join(folder, "boxes.csv"), encoding="utf-8", errors="replace") as file:
            return file.readline(200).startswith(",".join(CSV_COLUMNS[:4]))
    except OSError:
        return False


class _Search:
    def __init__(self, out: str | None, on_left_out: Callable[[LeftOut], object]) -> None:
        self._overlays = None if out is None else os.path.join(out, OVERLAYS)
        self._known: dict[str, bool] = {}
        self._on_left_out = on_left_out

    def expand(self, path: str) -> Iterator[Path]:
        if os.path.isdir(path):
            # Overlays that are named outright are what is asked for, but not where others are about to be written.
            if self._overlays is None or self._overlays not in _upwards(path):
                yield from self._walk(path)
        elif os.path.exists(path):
            yield Path(path)
        else:
            for match in sorted(glob.glob(path, recursive=True)):
                if any(map(self._holds_overlays, _upwards(match))):
                    continue
                if os.path.isdir(match):
                    yield from self._walk(match)
                elif self._wanted(match):
                    yield Path(match)

    def _walk(self, top: str) -> Iterator[Path]:
        def failed(error: OSError) -> None:
            if error.filename == top:
                raise error
            self._on_left_out(LeftOut(str(error.filename), f"a folder that cannot be read ({error.strerror})"))

        for parent, folders, files in os.walk(top, onerror=failed):
            kept = []
            for name in sorted(name for name in folders if not name.startswith(".")):
                path = os.path.join(parent, name)
                if os.path.islink(path):
                    self._on_left_out(LeftOut(path, "a link to a folder; name it to search it"))
                elif not self._holds_overlays(path):
                    kept.append(name)
            folders[:] = kept
            for name in sorted(name for name in files if not name.startswith(".")):
                if self._wanted(os.path.join(parent, name)):
                    yield Path(parent, name)

    def _holds_overlays(self, folder: str) -> bool:
        """Whether overlays were or will be written to a folder, which is said once."""
        full = os.path.abspath(folder)
        if full not in self._known:
            parent, name = os.path.split(full)
            ours = full == self._overlays or (name == OVERLAYS and os.path.isdir(full) and holds_results(parent))
            self._known[full] = ours
            if ours:
                self._on_left_out(LeftOut(folder, "overlays of fastcam localize, no photographs", missed=False))
        return self._known[full]

    def _wanted(self, path: str) -> bool:
        """Whether a file in a folder, or one that a glob matches, counts; what of pictures does not is said."""
        suffix = os.path.splitext(path)[1].lower()
        if suffix in RAW_SUFFIXES:
            self._on_left_out(LeftOut(path, "a camera's raw format; develop it first"))
        if suffix not in SUFFIXES:
            return False
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            self._on_left_out(LeftOut(path, error.strerror or type(error).__name__))
            return False
        # Reading from a pipe would wait for ever.
        if not stat.S_ISREG(mode):
            self._on_left_out(LeftOut(path, "not a regular file"))
        return stat.S_ISREG(mode)


def _upwards(path: str) -> Iterator[str]:
    """A path and the folders that it lies in, absolute."""
    full = Path(os.path.abspath(path))
    yield from map(str, (full, *full.parents))
