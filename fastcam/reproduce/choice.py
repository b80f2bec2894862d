"""Which schedules were tried on training images held out, and which was taken: :class:`Choice`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

__all__ = ["Candidate", "Choice", "Tried"]


@dataclass(frozen=True)
class Candidate:
    """A schedule that there is a choice of."""

    @property
    def name(self) -> str:
        """What it is, short enough for a list."""
        raise NotImplementedError


_Schedule = TypeVar("_Schedule", bound=Candidate)


@dataclass(frozen=True)
class Tried(Generic[_Schedule]):
    """A candidate and how it did.

    Attributes:
        schedule: the candidate.
        accuracy: on the images held out, as a fraction; None where the training diverged.
        failure: how it did, if so.
    """

    schedule: _Schedule
    accuracy: float | None
    failure: str | None = None


@dataclass(frozen=True)
class Choice(Generic[_Schedule]):
    """What was tried, and what was taken.

    Attributes:
        schedule: the one taken.
        tried: every candidate; none where there was one only.
        how: in words, what the accuracies are of.
    """

    schedule: _Schedule
    tried: tuple[Tried[_Schedule], ...]
    how: str

    def to_json(self) -> dict[str, Any]:
        """Return the choice as strings, numbers, lists and dictionaries."""
        return {
            "taken": self.schedule.name,
            "how": self.how,
            "tried": [
                {"name": one.schedule.name, **asdict(one.schedule), "accuracy": one.accuracy, "failure": one.failure}
                for one in self.tried
            ],
        }
