"""What every epoch was like, as files: CSV always, TensorBoard where it is asked for."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastcam.export import replacing

__all__ = ["EPOCH_COLUMNS", "write_history", "write_tensorboard"]

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
    text = io.StringIO()
    writer = csv.DictWriter(text, EPOCH_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for entry in history:
        writer.writerow({name: "" if value is None else f"{value:.6g}" for name, value in entry.items()})
    with replacing(path) as file:
        file.write(text.getvalue().encode())


def write_tensorboard(folder: str | os.PathLike[str], history: Sequence[Mapping[str, float | None]]) -> None:
    """Add the last epoch to a TensorBoard folder; what an interrupted training left there beyond it does not count.

    Raises:
        ImportError: tensorboardX is not installed.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ImportError('TensorBoard logging needs tensorboardX: pip install "fastcam[training]"') from error
    entry = dict(history[-1])
    epoch = int(entry.pop("epoch") or 0)
    with SummaryWriter(str(Path(folder)), purge_step=epoch) as writer:
        for name, value in entry.items():
            if value is not None:
                writer.add_scalar(name, value, epoch)
