"""Errors of a training as a message and an exit status: :func:`click_errors`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from fastcam.cli.terminal import say
from fastcam.lock import LockedError

__all__ = ["click_errors"]


@contextmanager
def click_errors(out: Path) -> Iterator[None]:
    """Turn the errors of a training into click's; of one that is interrupted say what ``out`` keeps."""
    from fastcam.data import DataError
    from fastcam.images import PictureError
    from fastcam.training.errors import TrainingError

    try:
        yield
    # ValueError: of settings and checkpoints, and of data sets without boxes.
    except (ValueError, DataError, PictureError, TrainingError, LockedError, ImportError, OSError) as error:
        raise click.ClickException(str(error)) from error
    except (KeyboardInterrupt, SystemExit):
        kept = (
            f"{out} keeps the finished epochs; go on with --resume" if (out / "last.pt").exists() else "nothing is kept"
        )
        say(f"stopped; {kept}", error=True)
        raise
