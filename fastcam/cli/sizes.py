"""Sizes on the command line: 224, or height x width."""

from __future__ import annotations

import click

__all__ = ["parsed_size"]


def parsed_size(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Read an option's value, such as 224 or 224x320, as (H, W)."""
    if value is None:
        return None
    try:
        height, _, width = value.partition("x")
        return int(height), int(width or height)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a size: expected 224, or height x width such as 224x320") from error
