"""The ``fastcam`` command: a group of subcommands."""

from __future__ import annotations

import importlib
from typing import Any

try:
    import click
except ImportError as error:
    raise ImportError('the fastcam command needs click: pip install "fastcam[cli]"') from error

from fastcam.cli.errors import plain_errors, short_warnings
from fastcam.cli.localize import localize
from fastcam.cli.signals import stopping

__all__ = ["main"]


class _Group(click.Group):
    """Loads what needs more than ``fastcam[cli]`` when it is called, and says what to install."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:  # noqa: ANN401
        with plain_errors():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        with stopping(), plain_errors(), short_warnings():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_LATER])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _LATER:
            return super().get_command(ctx, cmd_name)
        try:
            module = importlib.import_module(_LATER[cmd_name])
        except ImportError as error:
            raise click.ClickException(f"{error} (pip install 'fastcam[evaluation]')") from error
        command: click.Command = getattr(module, cmd_name)
        return command


_LATER = {name: f"fastcam.cli.{name}" for name in ("ablate", "evaluate", "export", "inspect", "reproduce", "train")}


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fastcam")
def main() -> None:
    """Object boxes from image classifiers, by class activation maps."""


main.add_command(localize)
