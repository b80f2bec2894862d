"""What a training leaves in its folder, and in which order: :class:`TrainingFiles`."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastcam.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from fastcam.training.config import Select
from fastcam.training.errors import TrainingError
from fastcam.training.journal import TensorBoard, history_is_whole, write_history

__all__ = ["TrainingFiles"]


class TrainingFiles:
    """``last.pt``, ``best.pt``, ``history.csv`` and ``tensorboard/`` of one training.

    The state of the training is ``last.pt`` alone, which is replaced in one step. Everything else follows from it and
    is written after it: what a kill or a full disk leaves behind is brought in line by :meth:`repair` when the training
    goes on.

    Args:
        out: the folder, which must exist.
        select: ``"best"`` keeps the weights of the epoch with the best accuracy on the images held out.
        tensorboard: write ``tensorboard/``.
    """

    def __init__(self, out: Path, select: Select, *, tensorboard: bool) -> None:
        self.last, self._best = out / "last.pt", out / "best.pt"
        self._history = out / "history.csv"
        self._select = select
        self._tensorboard = TensorBoard(out / "tensorboard") if tensorboard else None

    @property
    def chosen(self) -> Path:
        """The checkpoint with the weights of the epoch that is kept."""
        return self._best if self._select == "best" else self.last

    def save(self, content: Mapping[str, Any]) -> None:
        """Write the state after an epoch; ``content`` is that of :func:`fastcam.checkpoint.write_checkpoint`.

        Raises:
            TrainingError: it cannot be written; the message says what is kept.
        """
        with self._disk_errors(content["epoch"]):
            write_checkpoint(self.last, content)
            if self._select == "best" and _best_epoch(content["history"]) == content["epoch"]:
                write_checkpoint(self._best, content)
            self._write_history(content)

    def repair(self, content: Mapping[str, Any]) -> None:
        """Bring the other files in line with ``last.pt``, whose content this is.

        Raises:
            CheckpointError: the weights of the best epoch are in no file.
            TrainingError: a file cannot be written.
        """
        with self._disk_errors(content["epoch"]):
            if self._select == "best":
                best = _best_epoch(content["history"])
                if self._holds(best, content):
                    pass
                elif best == content["epoch"]:
                    write_checkpoint(self._best, content)
                else:
                    raise CheckpointError(f"{self._best} is not that of epoch {best}, the best one of {self.last}")
            if not history_is_whole(self._history, content["history"]):
                self._write_history(content)

    def close(self) -> None:
        """Write what is not written yet."""
        if self._tensorboard is not None:
            self._tensorboard.close()

    def _write_history(self, content: Mapping[str, Any]) -> None:
        write_history(self._history, content["history"])
        if self._tensorboard is not None:
            self._tensorboard.write(content["history"])

    def _holds(self, epoch: int, content: Mapping[str, Any]) -> bool:
        """Whether ``best.pt`` is that epoch of this training."""
        try:
            kept = read_checkpoint(self._best)
        except (OSError, CheckpointError):
            return False
        return bool(kept["epoch"] == epoch and kept["history"] == content["history"][:epoch])

    @contextmanager
    def _disk_errors(self, epoch: int) -> Iterator[None]:
        """Say of an epoch that cannot be saved why not, and what became of the last checkpoint."""
        try:
            yield
        except OSError as error:
            reason = "no space left on the disk" if error.errno == errno.ENOSPC else str(error)
            kept = f"{self.last} is whole, and resumes" if self.last.exists() else "no checkpoint was written before"
            raise TrainingError(f"epoch {epoch} could not be saved to {self.last.parent}: {reason}; {kept}") from error


def _best_epoch(history: list[Mapping[str, float | None]]) -> int:
    """The epoch, from 1, with the best accuracy on the images held out; of equal ones the first."""
    accuracies = [entry["held_out_top1"] or 0.0 for entry in history]
    return accuracies.index(max(accuracies)) + 1
