"""Errors as a message and an exit status: :func:`plain_errors` of any command, :func:`click_errors` of a training.

And warnings as a line: :func:`short_warnings`.
"""

from __future__ import annotations

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import torch

from fastcam.cli.terminal import drop_output, say, visible
from fastcam.lock import LockedError

__all__ = ["click_errors", "message_of", "plain_errors", "short_warnings"]

_LONGEST = 2000

# How PyTorch says it on a CPU, where it has no class of its own for it.
_NO_MEMORY = "can't allocate memory"


def message_of(error: BaseException) -> str:
    """Return what an error says, cut where it is longer than anyone reads: it may hold what a file holds."""
    text = str(error)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 100]} ... {text[-100:]}"


@contextmanager
def plain_errors() -> Iterator[None]:
    """Let click print errors as one line that a terminal does not obey, files and memory that fail among them."""
    try:
        yield
    except click.ClickException as error:
        lines = (line.strip() for line in message_of(error).splitlines())
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


@contextmanager
def short_warnings() -> Iterator[None]:
    """Print warnings as one line, without the place in the source that Python adds."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: say(f"warning: {' '.join(str(message).split())}", error=True)
        yield


def _out_of_memory(error: BaseException) -> str:
    why = visible(" ".join(str(error).split()))
    return f"out of memory{why and f': {why}'}"


@contextmanager
def click_errors(out: Path, *, goes_on: bool = False) -> Iterator[None]:
    """Turn the errors of a training into click's; of one that is interrupted say what ``out`` keeps.

    Args:
        out: folder of the training, or of several.
        goes_on: the same command goes on by itself.
    """
    try:
        from fastcam.evaluation.loading import WorkerError
        from fastcam.training.errors import TrainingError
    except ImportError as error:
        raise click.ClickException(str(error)) from error
    try:
        yield
    # ValueError: of settings, checkpoints, pictures and data sets.
    except (ValueError, TrainingError, WorkerError, LockedError, ImportError, OSError) as error:
        raise click.ClickException(message_of(error)) from error
    except (KeyboardInterrupt, SystemExit):
        kept = (
            f"{out} keeps the finished epochs; go on with --resume" if (out / "last.pt").exists() else "nothing is kept"
        )
        if goes_on:
            kept = f"{out} keeps what is finished; the same command goes on"
        say(f"stopped; {kept}", error=True)
        raise
