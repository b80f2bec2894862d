"""``fastcam export``: a network as a file that runs elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

from fastcam.cli.options import DEFAULT_MODEL, chosen_network, chosen_protocol, network_options, protocol_options
from fastcam.cli.terminal import say
from fastcam.exporting import FORMATS, ExportError
from fastcam.exporting import export as export_network
from fastcam.protocol import Threshold

__all__ = ["export"]

_FLAGS = {"path": "PATH", "model_or_loaded": "--model", "protocol": "--set"}


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    default="onnx",
    show_default=True,
    help="onnx: plain operators; pt2: a program of torch.export; aoti: compiled for this machine.",
)
@click.option(
    "--what",
    type=click.Choice(["maps", "boxes"]),
    default="maps",
    show_default=True,
    help="What comes with the logits. boxes: not in ONNX, and fastcam is needed where it runs.",
)
@click.option("--top-k", type=click.IntRange(min=1), help="Classes per picture, best first. [default: the first alone]")
@network_options(
    weights="--weights",
    weights_help="Weights for the model: of fastcam train, or a state dict.",
    default_model=DEFAULT_MODEL,
)
@protocol_options("From map to box.")
def export(
    path: Path,
    kind: str,
    what: str,
    top_k: int | None,
    protocol: str,
    percentile: float | None,
    threshold: Threshold | None,
    protocol_changes: tuple[str, ...],
    **network_options: Any,  # noqa: ANN401
) -> None:
    """Write a network to PATH as one graph: a batch of images in, logits and maps or boxes out.

    The file says how a picture becomes its input: size, mean, std and the rest are in its metadata, with the protocol
    and the names of the classes.
    """
    chosen = chosen_protocol(protocol, percentile, threshold, protocol_changes)
    network = chosen_network(**network_options)
    if top_k is not None and top_k > len(network.classes):
        raise click.BadParameter(f"{top_k} of {len(network.classes)} classes", param_hint="--top-k")
    try:
        export_network(network, path, cast("Any", kind), protocol=chosen, what=cast("Any", what), top_k=top_k)
    except ExportError as error:
        raise click.BadParameter(str(error), param_hint=_FLAGS.get(error.argument, f"--{error.argument}")) from error
    except OSError as error:
        raise click.BadParameter(f"{error.filename}: {error.strerror}", param_hint="PATH") from error
    except ImportError as error:
        raise click.ClickException(str(error)) from error
    say(f"{what} of {network.name} in {path}", error=True)
