"""``fastcam inspect``: what the maps of a network are made from."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from fastcam.cli.options import chosen_network, network_options
from fastcam.cli.terminal import say
from fastcam.inspection import inspect_network

__all__ = ["inspect"]


@click.command()
@network_options(
    weights="--weights",
    weights_help="Weights for the model: of fastcam train, or a state dict.",
    default_model=None,
    argument=True,
)
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object on standard output.")
def inspect(as_json: bool, **network_options: Any) -> None:  # noqa: ANN401
    """Say what the maps of MODEL are made from: its class activation maps, proved, or a gradient's.

    MODEL is what --model of "fastcam localize" takes: timm:NAME, torchvision:NAME, hf:NAME, a file of fastcam train, a
    built-in model, or package.module:factory. The model is run on noise: no picture is needed.

    The exit status is 0 where there is a map, and 1 with the reason where there is none: with --cam cam, no class
    activation map; with --features and --classifier, these do not explain the logits.
    """
    try:
        found = inspect_network(chosen_network(**network_options))
    except click.ClickException as error:
        if as_json:
            say(json.dumps({"model": network_options["model"], "source": None, "reason": error.format_message()}))
        # What is no fault of an option is an answer: there is no map.
        raise error if isinstance(error, click.BadParameter) else click.ClickException(error.message) from error
    say(json.dumps(found.to_mapping(), indent=2) if as_json else str(found))
    if found.mismatch:
        say(f"Error: {found.mismatch}", error=True)
        sys.exit(1)
