"""Every setting of a training as an option of the command line, and a file beneath them."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import click

from fastcam.training.config import ConfigError, TrainingConfig, read_config

__all__ = ["flag_of", "names_given", "settings_from", "settings_options"]


_NONE: Final = object()  # None as an option's value: None itself is that of an option that was not given


class _OrNone(click.ParamType):  # type: ignore[type-arg]  # not generic in every version
    """A type, or the word None."""

    def __init__(self, kind: type) -> None:
        self._kind = click.types.convert_type(kind)
        self.name = self._kind.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        return _NONE if value in ("None", _NONE) else self._kind.convert(value, param, ctx)


def settings_options(
    *,
    without: tuple[str, ...] = (),
    defaults: Mapping[str, Any] = {},
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an argument CONFIG and one option for each setting; None means: not given.

    Args:
        without: settings that the command takes in another way, or has no use for.
        defaults: of the command, to be shown in place of the settings' own.
    """

    def add(command: Callable[..., None]) -> Callable[..., None]:
        hints, helps = typing.get_type_hints(TrainingConfig), _helps()
        for one in reversed(fields(TrainingConfig)):
            if one.name not in without:
                text = f"{helps[one.name]} {_default(defaults.get(one.name, one.default))}".strip()
                command = _option(one.name, hints[one.name], text)(command)
        file = click.Path(dir_okay=False, path_type=Path)
        return click.argument("file", required=False, metavar="[CONFIG]", type=file)(command)

    return add


def settings_from(file: Path | None, given: Mapping[str, Any], **defaults: Any) -> TrainingConfig:  # noqa: ANN401
    """Put the settings together: options over the file over the defaults.

    Raises:
        ConfigError: a setting that cannot be met, or broken syntax; of what the file says, its name.
    """
    values = {} if file is None else read_config(file)
    chosen: dict[str, Any] = {name: None if given[name] is _NONE else given[name] for name in names_given(given)}
    for name in ("model_options", "method_options"):
        if name in chosen:
            beneath = values.get(name, {})
            if not isinstance(beneath, dict):
                raise ConfigError(f"{name} must be a table, got {beneath!r}")
            chosen[name] = {**beneath, **dict(map(_pair, chosen[name]))}
    if "data" not in values and "data" not in chosen:
        raise ConfigError('data is missing: --data FOLDER, or "synthetic" for the benchmark that comes with fastcam')
    return TrainingConfig.from_mapping({**defaults, **values, **chosen})


def names_given(given: Mapping[str, Any]) -> list[str]:
    """Return which settings were given as options."""
    return [name for name, value in given.items() if value is not None and value != ()]


def flag_of(name: str) -> str:
    """Return what the option of a setting is called."""
    return "--" + name.replace("_", "-").removesuffix("s" if name.endswith("_options") else "")


def _option(name: str, hint: Any, text: str) -> Callable[..., Any]:  # noqa: ANN401
    flag = flag_of(name)
    arguments = get_args(hint)
    if type(None) in arguments:
        return click.option(flag, name, type=_OrNone(arguments[0]), help=text)
    if get_origin(hint) is dict:
        return click.option(flag, name, multiple=True, metavar="NAME=VALUE", help=text)
    if hint is bool:
        return click.option(f"{flag}/--no-{name.replace('_', '-')}", name, default=None, help=text)
    if get_origin(hint) is Literal:
        return click.option(flag, name, type=click.Choice(get_args(hint)), help=text)
    return click.option(flag, name, type=hint, help=text)


def _default(value: Any) -> str:  # noqa: ANN401
    return f"[default: {value}]" if isinstance(value, (int, float, str)) and not isinstance(value, bool) else ""


def _helps() -> dict[str, str]:
    """Take what each setting means from the one place where it is written."""
    text = (inspect.getdoc(TrainingConfig) or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", text, flags=re.MULTILINE)
    return {
        name: re.sub(r":\w+:`[\w.]*\.(\w+)`", r"\1", " ".join(words.split())).replace("``", "") for name, words in found
    }


def _pair(text: str) -> tuple[str, Any]:
    """Read NAME=VALUE; a value that is a number, true or false becomes one."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ConfigError(f"expected NAME=VALUE, got {text!r}")
    words = {"true": True, "false": False}
    if value.lower() in words:
        return name, words[value.lower()]
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value
