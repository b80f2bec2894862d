"""What lets ``fastcam evaluate`` stand in for wsolevaluation's script: its way of listing, its steps, its last line.

The drop-in form is a call with any of that script's own option names, which have underscores where ours have dashes.
"""

from __future__ import annotations

import math
import re

import click

from fastcam.evaluation import Pass, headline
from fastcam.evaluation.numbers import headline_title

__all__ = ["LISTS", "SpreadCommand", "closing_line", "is_drop_in", "number_of_thresholds", "parsed_interval"]

LISTS = ("--iou", "--iou_threshold_list")
"""The options that take several values in a row."""

_THRESHOLDS, _THEIR_THRESHOLDS = 1000, 100

_THEIR_NAME = re.compile(r"--[a-z]+_[a-z_]+(=|$)")
_DROP_IN = f"{__name__}.drop_in"


class SpreadCommand(click.Command):
    """Lets ``--iou 30 50 70`` be one option with several values, as wsolevaluation's script has it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each of its values, and see whose names are used."""
        ctx.meta[_DROP_IN] = any(_THEIR_NAME.match(arg) for arg in args)
        spread: list[str] = []
        name = None
        for arg in args:
            if name is not None and arg.isdigit() and spread[-1] != name:
                spread += [name, arg]
                continue
            if arg.startswith("-"):
                name = arg if arg in LISTS else None
            spread.append(arg)
        return super().parse_args(ctx, spread)


def parsed_interval(_context: click.Context, _parameter: click.Parameter, interval: float | None) -> int | None:
    """Read the step between thresholds as how many there are; None where it is not given."""
    if interval is None:
        return None
    count = round(1 / interval) if 0 < interval <= 1 and math.isfinite(interval) else 0
    if count < 1 or abs(count * interval - 1) > 1e-9:
        raise click.BadParameter(f"{interval:g} must divide 1, as 0.001 and 0.01 do")
    return count


def is_drop_in() -> bool:
    """Whether the command that runs was called by wsolevaluation's option names."""
    return bool(click.get_current_context().meta.get(_DROP_IN))


def number_of_thresholds(given: int | None, *, drop_in: bool) -> tuple[int, str]:
    """Return how many thresholds there are, and what is to be said where their script's default is taken."""
    if given is not None or not drop_in:
        return given or _THRESHOLDS, ""
    return _THEIR_THRESHOLDS, (
        "thresholds are 0.01 apart, the default of wsolevaluation's script; the published numbers have "
        "--cam-curve-interval 0.001"
    )


def closing_line(done: Pass, *, multi_contour: bool, mean: bool, drop_in: bool) -> str:
    """Return the last line of the standard output: of the drop-in form theirs, elsewhere with what its number is."""
    number = headline(done, multi_contour=multi_contour, mean=mean)
    if drop_in:
        return f"localization: {number}"
    what = headline_title(done, multi_contour=multi_contour, mean=mean)
    return f"localization: {number} percent: {what}"
