"""Metrics of several numbers and of curves: the numbers first, which loggers take, and the curves on request."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torchmetrics.utilities.plot import plot_curve

from fastcam.metrics.metric import SumMetric

__all__ = ["CurveMetric", "checked_number", "drawn_curves"]


class CurveMetric(SumMetric):
    """A metric whose ``compute`` gives single numbers by name, and with ``curves=True`` its curves beside them."""

    @staticmethod
    @abstractmethod
    def is_curve(name: str) -> bool:
        """Whether this is the name of a curve, not of a number."""

    def _wrap_compute(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        whole = super()._wrap_compute(compute)

        @functools.wraps(whole)
        def wrapped(*, curves: bool = False) -> dict[str, Tensor]:
            # torchmetrics keeps what was computed, whatever was asked for: so it is always all of it. It also takes
            # the dimension off what has a single value; a curve keeps its.
            found = whole(curves=True)
            return {
                name: value.reshape(-1) if self.is_curve(name) else value
                for name, value in found.items()
                if curves or not self.is_curve(name)
            }

        return wrapped


def drawn_curves(
    curves: dict[str, tuple[Tensor, Tensor]],
    ax: Any,  # noqa: ANN401
    axes_names: tuple[str, str],
    title: str,
) -> tuple[Any, Any]:
    """Draw curves, each x and y, on the same axes: torchmetrics' figure and axes."""
    lines = list(curves.values())
    points = [x for x, _ in lines], [y for _, y in lines]
    figure, axes = plot_curve(points, ax=ax, label_names=axes_names, labels=list(curves), name=title)  # type: ignore[arg-type]
    return figure, axes


def checked_number(number: str, names: list[str]) -> str:
    """One of the names."""
    if number not in names:
        raise ValueError(f"number must be one of {', '.join(map(repr, names))}, got {number!r}")
    return number
