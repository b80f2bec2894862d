"""Errors as a message and an exit status: :func:`plain_errors` of any command, :func:`click_errors` of a training."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import torch

from fastcam.cli.terminal import drop_output, say, visible
from fastcam.lock import LockedError

__all__ = ["click_errors", "plain_errors"]

# How PyTorch says it on a CPU, where it has no class of its own for it.
_NO_MEMORY = "can't allocate memory"


@contextmanager
def plain_errors() -> Iterator[None]:
    """Let click print errors as one line that a terminal does not obey, files and memory that fail among them."""
    try:
        yield
    except click.ClickException as error:
        lines = (line.strip() for line in error.message.splitlines())
        error.message = visible(" ".join(line for line in lines if line))  # type: ignore[misc]  # final in click's newest
        raise
    except OSError as error:
        message = visible(str(error))
        # What commands write themselves is named; click's own output, as of --help, is not.
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EPIPE, errno.EBADF):
            drop_output()
            message = f"standard output cannot be written: {error.strerror}"
        raise click.ClickException(message) from error
    except MemoryError as error:
        raise click.ClickException(_out_of_memory(error)) from error
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and _NO_MEMORY not in str(error):
            raise
        raise click.ClickException(_out_of_memory(error)) from error


def _out_of_memory(error: BaseException) -> str:
    why = visible(" ".join(str(error).split()))
    return f"out of memory{why and f': {why}'}"


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
