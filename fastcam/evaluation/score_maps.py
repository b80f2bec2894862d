"""Score maps in files: one ``.npy`` or ``.npz`` an image, or one ``.npz`` with all of them."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fastcam.data.lines import unsafe
from fastcam.result_files import replacing

__all__ = ["MOST_VALUES", "ScoreMapError", "ScoreMapWriter", "ScoreMaps", "is_raw", "writing_score_maps"]


MOST_VALUES = 1 << 24
"""How many values a score map may have, by its header, where nothing else is asked for: 4096x4096."""


class ScoreMapError(ValueError):
    """A score map that is missing or cannot be evaluated; the message names its file and says why."""


class ScoreMaps:
    """Reads the score maps of images by their ids.

    A folder holds ``<id>.npy`` or ``<id>.npz`` (one array in it) for each image, the id keeping its suffix, as
    wsolevaluation writes them: ``001.Auk/1.jpg.npy``. A file is one ``.npz`` whose arrays are called by the ids.
    It can be pickled, and after a fork every process opens the archive for itself.

    Args:
        root: the folder or the ``.npz``.
        most_values: a map with more is refused by its header.

    Raises:
        ScoreMapError: neither.

    Example:
        >>> import numpy as np, pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(pathlib.Path(folder, "a.jpg.npy"), np.eye(3))
        ...     ScoreMaps(folder).read("a.jpg").shape
        (3, 3)
    """

    def __init__(self, root: str | os.PathLike[str], *, most_values: int = MOST_VALUES) -> None:
        self.root, self.most_values = Path(root), most_values
        self._archive: zipfile.ZipFile | None = None
        self._owner = -1
        if not self.root.is_dir() and not zipfile.is_zipfile(self.root):
            kind = "not a .npz archive" if self.root.exists() else "no such file or folder"
            raise ScoreMapError(f"{self.root}: {kind}; expected a folder of .npy or .npz files, or one .npz")

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_archive": None, "_owner": -1}

    def place(self, name: str) -> str:
        """Say where the score map of an image is, for messages."""
        if not self.root.is_dir():
            return f"{self.root}[{name}]"
        packed = self.root / f"{name}.npz"
        # os.path's answer: a name that no file can have is no error, as it is to pathlib.
        return str(packed if os.path.isfile(packed) else self.root / f"{name}.npy")

    def read(self, name: str) -> NDArray[np.floating[Any]]:
        """Read the score map of an image.

        Args:
            name: the image's id.

        Returns:
            (h, w) float16, float32 or float64, without NaN and infinity; longdouble comes as float64.

        Raises:
            ScoreMapError: missing, unreadable, of another rank or type, empty, or with a NaN or an infinity.
        """
        try:
            values = self._load(name)
        except (FileNotFoundError, KeyError):
            raise ScoreMapError(f"{self.place(name)}: no such score map") from None
        except ScoreMapError:
            raise
        # What is not an array fails wherever its bytes first make no sense.
        except Exception as error:
            raise ScoreMapError(f"{self.place(name)}: not an array that can be loaded safely: {error}") from error
        reason = _refusal(values)
        if reason is None and (values.dtype.itemsize > 8 or not values.dtype.isnative):
            # PyTorch has neither longdouble nor another byte order. What float64 cannot hold is refused as infinity.
            with np.errstate(over="ignore"):
                values = values.astype(f"=f{min(values.dtype.itemsize, 8)}")
            reason = _refusal(values)
        if reason is not None:
            raise ScoreMapError(f"{self.place(name)}: {reason}")
        return values

    def _load(self, name: str) -> NDArray[Any]:
        reason = unsafe(name)
        if reason is not None:
            raise ScoreMapError(f"{self.root}: an id must lie below its folder, got {name!r}, which {reason}")
        if not self.root.is_dir():
            with self._opened().open(_entry(name)) as file:
                return self._array(file, name)
        if os.path.isfile(self.root / f"{name}.npz"):
            with zipfile.ZipFile(self.root / f"{name}.npz") as archive:
                entries = archive.namelist()
                if len(entries) != 1:
                    raise ScoreMapError(f"{self.place(name)}: holds {len(entries)} arrays, expected one")
                with archive.open(entries[0]) as file:
                    return self._array(file, name)
        with open(self.root / f"{name}.npy", "rb") as file:
            return self._array(file, name)

    def _array(self, file: IO[bytes], name: str) -> NDArray[Any]:
        """Read an array, if its header says that it is not too large: its values may be a thousandth in the archive."""
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape = read_header(file)[0]
        if math.prod(shape) > self.most_values:
            raise ScoreMapError(
                f"{self.place(name)}: has {math.prod(shape)} values, more than the {self.most_values} allowed "
                "(most_values)"
            )
        file.seek(0)
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))

    def _opened(self) -> zipfile.ZipFile:
        # A file that two processes share has one position, and each would move the other's.
        if self._archive is None or self._owner != os.getpid():
            self._archive, self._owner = zipfile.ZipFile(self.root), os.getpid()
        return self._archive


def is_raw(values: NDArray[np.floating[Any]], size: tuple[int, int], place: str) -> bool:
    """Whether a score map is to be resized and normalized: it is smaller than what is evaluated.

    Args:
        values: (h, w).
        size: (H, W) that is evaluated.
        place: what messages call it.

    Raises:
        ScoreMapError: larger than the evaluated size, or of that size and outside [0, 1].
    """
    shape = values.shape
    if shape == size:
        low, high = float(values.min()), float(values.max())
        if low < 0 or high > 1:
            raise ScoreMapError(f"{place}: a full-size score map must lie in [0, 1], got {low:g} to {high:g}")
        return False
    if shape[0] > size[0] or shape[1] > size[1]:
        raise ScoreMapError(
            f"{place}: is {shape[0]}x{shape[1]} (height x width), larger than the {size[0]}x{size[1]} evaluated; give "
            "it at that size, normalized to [0, 1], or at a lower one, raw"
        )
    return True


class ScoreMapWriter:
    """Adds score maps to an archive, one at a time; see :func:`writing_score_maps`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def write(self, name: str, values: NDArray[np.floating[Any]]) -> None:
        """Add the score map of an image, (h, w) or (1, h, w), by its id; it is written as (h, w)."""
        reason = unsafe(name)
        if reason is not None:
            raise ScoreMapError(f"an id must lie below its folder, got {name!r}, which {reason}")
        array = np.ascontiguousarray(values)
        if array.ndim == 3 and len(array) == 1:
            array = array[0]
        with self._archive.open(_entry(name), "w") as file:
            np.lib.format.write_array(file, array, allow_pickle=False)


def _entry(name: str) -> str:
    """What an archive calls the score map of an image; a name of a file need not be UTF-8, one in an archive must."""
    return f"{name}.npy".encode("utf-8", "backslashreplace").decode()


@contextmanager
def writing_score_maps(path: str | os.PathLike[str]) -> Iterator[ScoreMapWriter]:
    """Write an ``.npz`` that :class:`ScoreMaps` and ``numpy.load`` read, map by map, whole or not at all.

    Args:
        path: the file. Its folder must exist.

    Yields:
        What takes the maps.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "maps.npz")
        ...     with writing_score_maps(path) as writer:
        ...         writer.write("a.jpg", np.eye(3, dtype=np.float32))
        ...     ScoreMaps(path).read("a.jpg").dtype
        dtype('float32')
    """
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        yield ScoreMapWriter(archive)


def _refusal(values: NDArray[Any]) -> str | None:
    """Say why an array is no score map; None if it is one."""
    if values.dtype.kind != "f":
        return f"a score map must be of a floating-point type, got {values.dtype}"
    if values.ndim != 2 or values.size == 0:
        return f"a score map must be (h, w) with at least one pixel, got shape {values.shape}"
    if not np.isfinite(values).all():
        return f"a score map must be finite, got {'a NaN' if np.isnan(values).any() else 'an infinity'}"
    return None
