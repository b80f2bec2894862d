"""How long a table may take: :class:`Budget`."""

from __future__ import annotations

import time

from fastcam.training.engine import Fabric

__all__ = ["Budget", "BudgetSpentError"]


class BudgetSpentError(RuntimeError):
    """The time that a table was given is over; what was finished is kept."""


class Budget:
    """Minutes from now.

    Args:
        minutes: None: as many as it takes.
        engine: the processes, all of which stop where the first one does.

    Example:
        >>> from fastcam.training import start_engine
        >>> Budget(None, start_engine(device="cpu")).spent()
        False
    """

    def __init__(self, minutes: float | None, engine: Fabric) -> None:
        self.minutes, self._engine, self._started = minutes, engine, time.perf_counter()

    def spent(self) -> bool:
        """Whether they are over; the first process says so to all, so every one of them has to ask."""
        if self.minutes is None:
            return False
        over = time.perf_counter() - self._started > 60 * self.minutes
        return bool(self._engine.broadcast(over))

    def check(self, *_: object) -> None:
        """Stop here if they are over.

        Raises:
            BudgetSpentError: they are.
        """
        if self.spent():
            raise BudgetSpentError(f"the budget of {self.minutes:g} minutes is spent")

    def check_epoch(self, *_: object) -> None:
        """Stop after this epoch if they are over, where one process is alone: of several the first alone is asked.

        Raises:
            BudgetSpentError: they are.
        """
        if self._engine.world_size == 1:
            self.check()
