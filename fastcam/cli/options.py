"""The options that commands share, and what they ask for: a network, a protocol, a size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import click

from fastcam.checkpoint import is_checkpoint
from fastcam.extractors import CAM_METHODS
from fastcam.models import NETWORKS
from fastcam.network import Network
from fastcam.protocol import NAMED, Protocol, Threshold
from fastcam.sources import LoadError, load

__all__ = [
    "DEFAULT_MODEL",
    "FILE",
    "FOLDER",
    "all_options",
    "chosen_network",
    "chosen_protocol",
    "network_options",
    "protocol_options",
]

DEFAULT_MODEL = "efficientnet-lite0"

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class _Weights(click.Path):
    """A file, or one of the words that :func:`fastcam.load` knows."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        return value if value in ("imagenet", "random") else super().convert(value, param, ctx)


_WEIGHTS = _Weights(exists=True, dir_okay=False, path_type=Path)


def _kind(hint: Any) -> type:  # noqa: ANN401
    """The type of a field's value, other than None."""
    if isinstance(hint, type):
        return hint
    choice = get_args(hint)[0]
    return choice if isinstance(choice, type) else type(choice)


# The fields of a protocol with the types of their values.
_HINTS = get_type_hints(Protocol)
_FIELDS = {one.name: _kind(_HINTS[one.name]) for one in fields(Protocol)}
_WORDS = {"threshold": get_args(get_args(_HINTS["threshold"])[1])}  # that stand in place of a number


class _Threshold(click.types.FloatParamType):
    """A number, or a rule that finds one."""

    name = "|".join(("number", *_WORDS["threshold"]))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        return value if value in _WORDS["threshold"] else super().convert(value, param, ctx)


_Command = TypeVar("_Command", bound=Callable[..., Any])

# Which option says each argument of fastcam.load; the weights' flag differs between commands.
_FLAGS = {"source": "--model", "size": "--input-size", "mean": "--mean, --std"}


def parsed_size(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Read an option's value, such as 224 or 224x320, as (H, W)."""
    if value is None:
        return None
    try:
        height, _, width = value.partition("x")
        return int(height), int(width or height)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a size: expected 224, or height x width such as 224x320") from error


def network_options(
    *, weights: str, weights_help: str, default_model: str | None, argument: bool = False
) -> Callable[[_Command], _Command]:
    """Give a command the options that :func:`chosen_network` takes.

    Args:
        weights: the flag of the file of weights: ``--weights`` or ``--checkpoint``.
        weights_help: its help.
        default_model: the network where none is named; None where the file may say it.
        argument: the network is the command's argument and no option.
    """
    model = click.option(
        "--model",
        default=default_model,
        show_default=default_model is not None,
        metavar="NAME",
        help=f"A file of fastcam train, a built-in model ({', '.join(NETWORKS)}), timm:NAME, torchvision:NAME, hf:NAME "
        "or hf:FOLDER, or package.module:factory, called without arguments.",
    )
    options = (
        click.argument("model") if argument else model,
        click.option(
            weights,
            "weights",
            type=_WEIGHTS,
            metavar="FILE|random",
            help=f"{weights_help} random: of a model by name, to look at it without.",
        ),
        click.option(
            "--features",
            metavar="MODULE[:input]",
            help="Module that gives the features. [default: the model's, or found]",
        ),
        click.option("--classifier", metavar="MODULE", help="The last, linear layer. [default: the model's, or found]"),
        click.option(
            "--cam",
            type=click.Choice(CAM_METHODS),
            default="auto",
            show_default=True,
            help="Which maps. auto: class activation maps, or Grad-CAM where the model has none of its own, which is "
            "then said; cam: these or an error.",
        ),
        click.option("--classes", type=FILE, help="Class names, one a line. [default: the model's]"),
        click.option(
            "--input-size",
            callback=parsed_size,
            metavar="H[xW]",
            help="Input of the network in pixels. [default: the model's, or 224]",
        ),
        click.option(
            "--mean",
            type=float,
            nargs=3,
            help="Mean of R, G and B, white being 1. [default: the model's, or ImageNet's]",
        ),
        click.option(
            "--std", type=float, nargs=3, help="Their standard deviation. [default: the model's, or ImageNet's]"
        ),
        click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, ... [default: cuda where there is one]"),
    )
    return all_options(options)


def protocol_options(text: str) -> Callable[[_Command], _Command]:
    """Give a command the options that :func:`chosen_protocol` takes; ``text`` is the help of ``--protocol``."""
    options = (
        click.option("--protocol", type=click.Choice(list(NAMED)), default="paper", show_default=True, help=text),
        click.option("--percentile", type=float, help="Overrides the protocol's, in [0, 100]."),
        click.option(
            "--threshold",
            type=_Threshold(),
            help="Overrides the protocol's, in [0, 1], or finds it: by Otsu's method, or where the largest "
            "component is most stable.",
        ),
        click.option(
            "--set",
            "protocol_changes",
            multiple=True,
            metavar="FIELD=VALUE",
            help=f"Overrides any field of the protocol, such as clamp_negative=false (no negative weight clamping): "
            f"{', '.join(_FIELDS)}.",
        ),
    )
    return all_options(options)


def chosen_network(
    *,
    model: str | None,
    weights: Path | str | None,
    pooling: str | None = None,
    input_size: tuple[int, int] | None,
    weights_flag: str = "--weights",
    **options: Any,  # noqa: ANN401
) -> Network:
    """Load the network that the options ask for, and run it once on noise.

    Args:
        model: what :func:`fastcam.load` takes as its source; None: what the weights say, where they are a checkpoint of
            ``fastcam train``, or :data:`DEFAULT_MODEL`.
        weights: a file, or ``"random"``.
        pooling: of the network.
        input_size: (H, W).
        weights_flag: what errors call the file.
        **options: features, classifier, cam, classes, mean, std and device.

    Raises:
        click.ClickException: an option that cannot be met; the message names it.
    """
    source: Any = model
    flags = {**_FLAGS, "weights": weights_flag}
    if model is None and isinstance(weights, Path) and is_checkpoint(weights):
        source, weights, flags["source"] = weights, None, weights_flag
    try:
        network = load(source or DEFAULT_MODEL, weights=weights, pooling=pooling, size=input_size, **options)
        network.try_out()
    except LoadError as error:
        if error.argument == "features":
            raise click.UsageError(f"{error} (see --features and --classifier)") from error
        flag = flags.get(error.argument, f"--{error.argument}")
        raise click.BadParameter(str(error), param_hint=flag) from error
    except (ImportError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error
    return network


def chosen_protocol(
    name: str, percentile: float | None, threshold: Threshold | None, changes: Sequence[str] = ()
) -> Protocol:
    """Return a named protocol with what overrides it.

    Args:
        name: of the protocol.
        percentile: of the option of its own; None: not given.
        threshold: likewise.
        changes: of any field, ``FIELD=VALUE`` each.

    Raises:
        click.UsageError: a field that does not exist or is given twice, a value of another type or out of range.
    """
    given = {"percentile": percentile, "threshold": threshold}
    chosen = {field: value for field, value in given.items() if value is not None}
    for change in changes:
        field, value = _field(change)
        if field in chosen:
            raise click.UsageError(f"{field} is given twice, again by --set {change}")
        chosen[field] = value
    try:
        return NAMED[name].replace(**chosen)
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from error


def _field(change: str) -> tuple[str, Any]:
    """Read FIELD=VALUE, the value of the type that the field has."""
    name, equals, text = change.partition("=")
    if not equals or name not in _FIELDS:
        raise click.BadParameter(f"expected FIELD=VALUE of {', '.join(_FIELDS)}, got {change!r}", param_hint="--set")
    if text in _WORDS.get(name, ()):
        return name, text
    kind = click.types.convert_type(_FIELDS[name])
    try:
        return name, kind.convert(text, None, None)
    except click.BadParameter as error:
        raise click.BadParameter(f"{name}: {error.message}", param_hint="--set") from error


def all_options(options: tuple[Callable[[Any], Any], ...]) -> Callable[[_Command], _Command]:
    """Put options onto a command, in this order."""

    def add(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add
