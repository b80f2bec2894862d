"""How the names in other libraries' weight files are those of a network: :class:`WeightNames`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["WeightNames"]


@dataclass(frozen=True)
class WeightNames:
    """What a network says of the names in files that were not written for it.

    Attributes:
        renames: pairs (pattern, replacement) of ``re.sub``, applied one after the other.
        left_out: patterns of names in the original network that have no place here.
        added: beginnings of names that no pretrained network has.
    """

    renames: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    def renamed(self, name: str) -> str:
        r"""Return the network's own name of what a file calls ``name``.

        Example:
            >>> WeightNames(renames=((r"^fc\.", "classifier."),)).renamed("fc.weight")
            'classifier.weight'
        """
        for pattern, replacement in self.renames:
            name = re.sub(pattern, replacement, name)
        return name

    def has_place(self, name: str) -> bool:
        """Whether a name that the network lacks may be in a file all the same."""
        return any(re.match(pattern, name) for pattern in self.left_out)

    def may_be_missing(self, name: str, given: Mapping[str, object]) -> bool:
        """Whether a file whose names are those of ``given`` may lack a name of the network.

        A pretrained network has nothing of what was added, and its classifier belongs to what was left out.
        """
        if not self.added or any(one.startswith(self.added) for one in given):
            return False
        return name.startswith((*self.added, "classifier."))
