"""Metrics of several numbers and of curves: the numbers first, which loggers take, and the curves on request."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torchmetrics.utilities.plot import plot_curve

from fastcam.metrics.metric import SumMetric

__all__ = ["CurveMetric", "checked_number"]


class CurveMetric(SumMetric):
    """A metric whose ``compute`` gives single numbers by name, and with ``curves=True`` its curves beside them."""

    @staticmethod
    @abstractmethod
    def is_curve(name: str) -> bool:
        """Whether this is the name of a curve, not of a number."""

    @abstractmethod
    def curves_to_draw(self) -> tuple[dict[str, tuple[Tensor, Tensor]], tuple[str, str]]:
        """Return the curves as they are now, each x and y by its label, and the names of both axes."""

    def plot(self, val: Any = None, ax: Any = None) -> tuple[Any, Any]:  # noqa: ANN401
        """Draw the curves with matplotlib; of given values, what they are over the steps.

        Args:
            val: what ``compute`` or ``forward`` gave, or a list of such; by default the curves as they are now.
            ax: the axes to draw on; by default those of a new figure.

        Returns:
            The figure (None where ``ax`` is given) and the axes.

        Raises:
            ModuleNotFoundError: matplotlib is not installed.
        """
        if val is not None:
            return super().plot(val, ax)
        curves, axes_names = self.curves_to_draw()
        points = [x for x, _ in curves.values()], [y for _, y in curves.values()]
        figure, axes = plot_curve(
            points,  # type: ignore[arg-type]
            ax=ax,
            label_names=axes_names,
            labels=list(curves),
            name=type(self).__name__,
        )
        return figure, axes

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


def checked_number(number: str, names: list[str]) -> str:
    """One of the names."""
    if number not in names:
        raise ValueError(f"number must be one of {', '.join(map(repr, names))}, got {number!r}")
    return number
