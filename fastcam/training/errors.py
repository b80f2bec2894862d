"""Why a training cannot go on, and what of it is kept: :class:`TrainingError`."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastcam.images import PictureError

__all__ = ["DivergedError", "TrainingError", "plain_picture_errors", "spoken_disk_errors"]


class TrainingError(RuntimeError):
    """A training that cannot go on; the message says why, and what of it is kept."""


class DivergedError(TrainingError):
    """One whose loss is no longer a number: other rates may do better."""


@contextmanager
def spoken_disk_errors(last: Path, epoch: int) -> Iterator[None]:
    """Say of an epoch that cannot be saved why not, and what became of the checkpoint ``last``."""
    try:
        yield
    except OSError as error:
        reason = "no space left on the disk" if error.errno == errno.ENOSPC else str(error)
        kept = f"{last} is whole, and resumes" if last.exists() else "no checkpoint was written before"
        raise TrainingError(f"epoch {epoch} could not be saved to {last.parent}: {reason}; {kept}") from error


@contextmanager
def plain_picture_errors() -> Iterator[None]:
    """Take the traceback off the message of an error that comes from a worker."""
    try:
        yield
    except PictureError as error:
        raise PictureError(str(error).strip().splitlines()[-1].removeprefix("fastcam.images.PictureError: ")) from None
