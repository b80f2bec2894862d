"""``fastcam reproduce``: the paper's tables, and its figures, on one's own data."""

from __future__ import annotations

import importlib
from typing import Final

import click

__all__ = ["reproduce"]

# Loaded when they are called: name of the command, its module and what it is called there.
_COMMANDS: Final = {
    "table1": "fastcam.cli.tables:table1",
    "table2": "fastcam.cli.tables:table2",
    "table3": "fastcam.cli.ablate:ablate",
    "table4": "fastcam.cli.tables:table4",
    **{f"figure{number}": f"fastcam.cli.figures:figure{number}" for number in range(2, 7)},
}


class _Group(click.Group):
    """Loads each command, and the engine that it brings, when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_COMMANDS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, name = _COMMANDS[cmd_name].partition(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), name)
        except ImportError as error:
            raise click.ClickException(f"{error} (pip install 'fastcam[training]')") from error
        return command


@click.group(cls=_Group)
def reproduce() -> None:
    """Run a table of the paper on your own data, its numbers beside yours, or draw one of its figures.

    What was finished is kept in --out: a command that was killed, or whose --budget was spent, goes on when it is
    given again.
    """
