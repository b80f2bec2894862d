"""Why a training cannot go on, and what of it is kept: :class:`TrainingError`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastcam.evaluation.loading import WorkerError, worker_errors
from fastcam.images import PictureError

__all__ = ["DivergedError", "TrainingError", "reading_errors"]


class TrainingError(RuntimeError):
    """A training that cannot go on; the message says why, and what of it is kept."""


class DivergedError(TrainingError):
    """One whose loss is no longer a number: other rates may do better."""


@contextmanager
def reading_errors() -> Iterator[None]:
    """Take the traceback off the message of an error that comes from a worker, and name a worker that was killed.

    Raises:
        TrainingError: a worker ended before its time.
        PictureError: a picture that cannot be read.
    """
    try:
        with worker_errors():
            yield
    except PictureError as error:
        raise PictureError(str(error).strip().splitlines()[-1].removeprefix("fastcam.images.PictureError: ")) from None
    except WorkerError as error:
        raise TrainingError(str(error)) from error
