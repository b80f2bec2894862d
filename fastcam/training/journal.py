"""What every epoch was like, as files: CSV always, TensorBoard where it is asked for."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fastcam.export import table_bytes, write_table

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
    """A folder that TensorBoard reads: one writer a training, flushed after every epoch.

    Args:
        folder: made if it is not there.

    Raises:
        ImportError: tensorboardX is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ImportError('TensorBoard logging needs tensorboardX: pip install "fastcam[training]"') from error
        # Every part of a training writes all epochs: what parts before it wrote, whole or cut off, does not count.
        self._writer = SummaryWriter(str(Path(folder)), purge_step=1, filename_suffix=f".{secrets.token_hex(4)}")
        self._written = 0

    def write(self, history: Sequence[Mapping[str, float | None]]) -> None:
        """Add the epochs that are new."""
        for entry in history[self._written :]:
            for name, value in entry.items():
                if name != "epoch" and value is not None:
                    self._writer.add_scalar(name, value, int(entry["epoch"] or 0))
        self._written = len(history)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
