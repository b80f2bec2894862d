"""The ``fastcam`` command: a group of subcommands."""

from __future__ import annotations

try:
    import click
except ImportError as error:
    raise ImportError('the fastcam command needs click: pip install "fastcam[cli]"') from error

from fastcam.cli.ablate import ablate
from fastcam.cli.localize import localize
from fastcam.cli.train import train

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fastcam")
def main() -> None:
    """Object boxes from image classifiers, by class activation maps."""


for command in (localize, train, ablate):
    main.add_command(command)
