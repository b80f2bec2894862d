"""Which images were left out, counted over all processes: :class:`Skips`."""

from __future__ import annotations

from fastcam.evaluation.reading import OnSkipped
from fastcam.processes import Processes

__all__ = ["Skips"]


class Skips:
    """Counts the images that are left out, and passes them on.

    Args:
        on_skipped: is told of each image once, in one process; None: nothing may be left out.
        count: how many were left out before.
        processes: among which the images are dealt out.

    Attributes:
        count: how many were left out in all processes, once :meth:`add_up` was called.
    """

    def __init__(self, on_skipped: OnSkipped | None, count: int, processes: Processes) -> None:
        self._on_skipped, self.count, self._processes = on_skipped, count, processes
        self._here = 0

    def everywhere(self) -> OnSkipped | None:
        """Return what takes the images that a step leaves out which every process takes for all images."""
        on_skipped = self._on_skipped
        if on_skipped is None:
            return None

        def skip(error: ValueError) -> None:
            if self._processes.first:
                on_skipped(error)
            self.count += 1

        return skip

    def here(self) -> OnSkipped | None:
        """Return what takes the images that a step leaves out which each process takes for its own."""
        on_skipped = self._on_skipped
        if on_skipped is None:
            return None

        def skip(error: ValueError) -> None:
            on_skipped(error)
            self._here += 1

        return skip

    def add_up(self) -> None:
        """Count what every process left out of its own; all of them call it."""
        self.count += sum(self._processes.gathered(self._here))
        self._here = 0
