"""What every epoch was like, as files: CSV always, TensorBoard where it is asked for."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastcam.result_files import table_bytes, write_table

if TYPE_CHECKING:
    from tensorboardX.record_writer import RecordWriter

__all__ = ["EPOCH_COLUMNS", "TensorBoard", "history_is_whole", "write_history"]

EPOCH_COLUMNS = (
    "epoch",
    "lr",
    "train_loss",
    "train_top1",
    "held_out_loss",
    "held_out_top1",
    "images_per_second",
)
"""One line an epoch, counted from 1; accuracies are fractions, empty where no images are held out."""


def write_history(path: str | os.PathLike[str], history: Sequence[Mapping[str, float | None]]) -> None:
    """Write the epochs as CSV, all of them: a resumed training's file has no gap and no line twice."""
    write_table(path, EPOCH_COLUMNS, _rows(history))


def history_is_whole(path: str | os.PathLike[str], history: Sequence[Mapping[str, float | None]]) -> bool:
    """Whether a file is what :func:`write_history` writes of these epochs."""
    try:
        return Path(path).read_bytes() == table_bytes(EPOCH_COLUMNS, _rows(history))
    except OSError:
        return False


def _rows(history: Sequence[Mapping[str, float | None]]) -> Iterator[list[str | None]]:
    for entry in history:
        values = (entry[name] for name in EPOCH_COLUMNS)
        yield [None if value is None else f"{value:.6g}" for value in values]


class TensorBoard:
    """A folder that TensorBoard reads: one file a training, or a part of one, on the disk after every epoch.

    TensorBoard reads the files of a folder in the order of their names, which begin with a time. A file's time here is
    later than that of any other in the folder, even where the clock was set back in between.

    Args:
        folder: made when the first epoch is written.

    Raises:
        ImportError: tensorboardX is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            # Not its SummaryWriter: that writes in a thread, which ends without a word where the disk is full.
            from tensorboardX.record_writer import RecordWriter
        except ImportError as error:
            raise ImportError('TensorBoard logging needs tensorboardX: pip install "fastcam[training]"') from error
        self._folder, self._opened = Path(folder), RecordWriter
        self._writer: RecordWriter | None = None
        self._written = 0

    def write(self, history: Sequence[Mapping[str, float | None]]) -> None:
        """Add the epochs that are new.

        Raises:
            OSError: they cannot be written.
        """
        from tensorboardX.proto.event_pb2 import SessionLog
        from tensorboardX.summary import scalar

        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._writer = self._opened(str(self._folder / self._next_name()))
            self._add(file_version="brain.Event:2")
            # Every part of a training writes all epochs: what parts before it wrote, whole or cut off, does not count.
            self._add(step=1, session_log=SessionLog(status=SessionLog.START))
        for entry in history[self._written :]:
            for name, value in entry.items():
                if name != "epoch" and value is not None:
                    self._add(step=int(entry["epoch"] or 0), summary=scalar(name, value))
        self._writer.flush()
        self._written = len(history)

    def close(self) -> None:
        """Close the file; all that counts is on the disk already."""
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()

    def _add(self, **event: Any) -> None:  # noqa: ANN401
        from tensorboardX.proto.event_pb2 import Event

        assert self._writer is not None
        self._writer.write(Event(wall_time=time.time(), **event).SerializeToString())

    def _next_name(self) -> str:
        times = (re.match(r"events\.out\.tfevents\.(\d{10})\.", path.name) for path in self._folder.iterdir())
        newest = max((int(found[1]) for found in times if found), default=0)
        # The host as in the names that others write, and digits that no other process draws.
        place = f"{socket.gethostname()}.{secrets.token_hex(4)}"
        return f"events.out.tfevents.{max(int(time.time()), newest + 1):010d}.{place}"
