"""A table of the paper as data: :class:`Table`, whose rows are a training and a protocol each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fastcam.protocol import Protocol
from fastcam.training.config import TrainingConfig

__all__ = ["Row", "Table", "Training"]


@dataclass(frozen=True)
class Training:
    """What a row's training changes in the configuration of the run; equal ones are trained once.

    Attributes:
        changes: names of settings of :class:`fastcam.training.TrainingConfig` and their values.

    Example:
        >>> training = Training.of(pooling="tap")
        >>> training.name, training == Training.of(pooling="tap")
        ('tap', True)
        >>> training.applied(TrainingConfig(data="birds", pooling="gap")).pooling
        'tap'
    """

    changes: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, **changes: Any) -> Training:  # noqa: ANN401
        """Make one from settings, whose values must be hashable."""
        return cls(tuple(changes.items()))

    @property
    def name(self) -> str:
        """The values joined by dashes: what its folder is called."""
        return "-".join(str(value) for _, value in self.changes)

    @property
    def title(self) -> str:
        """What it is called in text."""
        return self.name.upper()

    def applied(self, config: TrainingConfig) -> TrainingConfig:
        """Return a configuration with the changes; a threshold of TAP stays where TAP is."""
        changed = replace(config, **dict(self.changes))
        return changed if changed.pooling == "tap" else replace(changed, tap_threshold=None)


@dataclass(frozen=True)
class Row:
    """One row: a network and how its maps become boxes.

    Attributes:
        name: what it is called.
        training: how the network is trained.
        protocol: how a map becomes a box, and how that is compared with the ground truth.
        techniques: the columns in front of the numbers: whether each technique is used.
    """

    name: str
    training: Training
    protocol: Protocol
    techniques: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Rows in families: within one, protocols differ in the techniques alone, so that its rows can be compared.

    Attributes:
        title: of the table.
        families: the rows of each family, the baseline first.
        not_for: methods of training that the table is not defined for.
        undefined: rows that there cannot be, and why.

    Raises:
        ValueError: no rows, or rows of one family whose boxes have other ends or are compared otherwise.
    """

    title: str
    families: Mapping[str, tuple[Row, ...]]
    not_for: tuple[str, ...] = ()
    undefined: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.families or not all(self.families.values()):
            raise ValueError("a table needs a family of rows, and every family a row")
        for name, rows in self.families.items():
            if len({(row.protocol.iou, row.protocol.box_end) for row in rows}) > 1:
                raise ValueError(f"rows of family {name!r} must agree in iou and box_end")

    @property
    def trainings(self) -> tuple[Training, ...]:
        """The trainings of all rows, each once, that of the first baseline first."""
        return tuple(dict.fromkeys(row.training for rows in self.families.values() for row in rows))

    def only(self, names: Sequence[str]) -> Table:
        """Return the table with some of its rows, and the baselines of their families.

        Args:
            names: of rows, of families such as ``vgg16/has``, or of a part of these: ``vgg16``, ``has``.

        Raises:
            ValueError: a name that is none of these; the message lists them.
        """
        known = {part for family in self.families for part in (family, *family.split("/"))}
        known |= {row.name for rows in self.families.values() for row in rows}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(f"row {unknown[0]!r} is not in the table; there are {', '.join(sorted(known))}")
        families = {}
        for family, rows in self.families.items():
            whole = {family, *family.split("/")} & set(names)
            chosen = tuple(row for row in rows if whole or row.name in names)
            if chosen:
                families[family] = chosen if chosen[0] is rows[0] else (rows[0], *chosen)
        left_out = {
            name: why
            for name, why in self.undefined.items()
            if {name, name.removesuffix("/ours"), *name.split("/")} & set(names)
        }
        return replace(self, families=families, undefined=left_out)
