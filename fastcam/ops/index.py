"""``fastcam::in_range``, the classes of an index unchanged, or an error where one does not exist.

As an operator the check stays in a graph: comparing the numbers in Python would need them while it is traced.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from fastcam.ops.arguments import check_integers
from fastcam.ops.eager import is_eager
from fastcam.ops.tags import TAGS

__all__ = ["in_range"]

_FEW: Final = 64  # numbers that Python compares before two operators have begun

_library = torch.library.Library("fastcam", "FRAGMENT")
_library.define("in_range(Tensor index, SymInt classes) -> Tensor", tags=TAGS)


def _refuse_outside(index: Tensor, classes: int) -> None:
    check_integers(index)
    if count := index.numel():
        if count <= _FEW:
            numbers = index.flatten().tolist()
            low, high = min(numbers), max(numbers)
        else:
            low, high = int(index.min()), int(index.max())
        if low < 0 or high >= classes:
            raise ValueError(f"index must lie in [0, {classes}), got {low if low < 0 else high}")


def _cpu(index: Tensor, classes: int) -> Tensor:
    _refuse_outside(index, classes)
    return index.clone()


def _any_device(index: Tensor, classes: int) -> Tensor:  # noqa: ARG001
    check_integers(index)
    return index.clone()


def in_range(index: Tensor, classes: int) -> Tensor:
    """Return the index, whose numbers must lie in [0, classes); on other devices than the CPU that is not checked.

    Raises:
        ValueError: a number outside, by name.
    """
    if index.device.type != "cpu":
        return index
    if is_eager(index):
        _refuse_outside(index, classes)
        return index
    checked: Tensor = torch.ops.fastcam.in_range.default(index, classes)
    return checked


@torch.library.register_fake("fastcam::in_range")
def _(index: Tensor, classes: int) -> Tensor:  # noqa: ARG001
    check_integers(index)
    return torch.empty_like(index)


_library.impl("in_range", _any_device, "CompositeExplicitAutograd")
_library.impl("in_range", _cpu, "CPU")
