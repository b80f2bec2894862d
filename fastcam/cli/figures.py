"""``fastcam reproduce figure2`` to ``figure6``: what the paper's figures show, on one's own networks and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastcam.cli.errors import click_errors
from fastcam.cli.options import FILE
from fastcam.cli.settings import flag_of, names_given, settings_from, settings_options
from fastcam.cli.terminal import say
from fastcam.lock import locked
from fastcam.training.config import TrainingConfig

if TYPE_CHECKING:
    import torch

    from fastcam.data import Split
    from fastcam.network import Network
    from fastcam.reproduce.figures import Drawn
    from fastcam.training.engine import Fabric

__all__ = ["figure2", "figure3", "figure4", "figure5", "figure6"]

_DEFAULTS = {"model": "efficientnet-lite0", "weights": "imagenet"}
# What says the data, and what the classifiers on a frozen backbone depend on.
_OF_DATA = {"data", "images", "workers"}
_OF_BACKBONE = {"model", "model_options", "weights", "crop", "tap_threshold"}
_OTHERS = tuple(one.name for one in fields(TrainingConfig) if one.name not in _OF_DATA | _OF_BACKBONE)


def _figure(name: str, help_text: str, *, panels: bool = False) -> click.Command:
    """Make the command of one figure."""

    @click.command(name, help=f"{help_text}\n\n{_HOW if name != 'figure6' else _HOW_PAIRS}")
    @settings_options(without=_OTHERS, defaults=_DEFAULTS)
    @_networks_options(pairs=name == "figure6")
    @click.option("--split", metavar="PART", help="Of the data. [default: test; val for ImageNet and Tiny-ImageNet]")
    @click.option(
        "--sample",
        type=click.IntRange(min=1),
        default=500,
        show_default=True,
        metavar="N",
        help="Pictures that are looked at, drawn by --seed; all, if there are fewer.",
    )
    @_panels_option(wanted=panels)
    @click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of sample and classifiers.")
    @click.option(
        "--out",
        required=True,
        type=click.Path(file_okay=False, path_type=Path),
        help=f"Folder for {name}.png, {name}.svg and {name}.json; made if it is not there.",
    )
    @click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="cpu, cuda, or auto.")
    def command(
        file: Path | None,
        out: Path,
        split: str | None,
        sample: int,
        seed: int,
        device: str,
        gap: Path | None = None,
        tap: Path | None = None,
        pairs: tuple[tuple[Path, Path], ...] = (),
        panels: int | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        if (gap is None) != (tap is None):
            raise click.UsageError("--gap and --tap go together: give both, or neither")
        if gap is not None or pairs:
            _refuse_backbone(settings, "--pair" if pairs else "--gap and --tap")
        with click_errors(out, goes_on=True):
            config = settings_from(file, settings, **_DEFAULTS)
            both = None if gap is None or tap is None else (gap, tap)
            _run(name, config, out, split, sample, seed, device, both, pairs, panels)

    return command


def _networks_options(*, pairs: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options for networks that are trained already."""
    if pairs:
        return click.option(
            "--pair",
            "pairs",
            nargs=2,
            type=FILE,
            multiple=True,
            metavar="WITHOUT OURS",
            help="Two checkpoints of fastcam train: with GAP, and with TAP. Repeat it for each method and network.",
        )

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for flag in ("--tap", "--gap"):
            text = f"A checkpoint of fastcam train --pooling {flag[2:]}, in place of a frozen backbone."
            command = click.option(flag, type=FILE, help=text)(command)
        return command

    return add


def _panels_option(*, wanted: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    if not wanted:
        return lambda command: command
    return click.option(
        "--panels",
        type=click.IntRange(1, 20),
        default=4,
        show_default=True,
        help="Pictures that are drawn, spread evenly over the sample.",
    )


def _refuse_backbone(settings: Mapping[str, Any], beside: str) -> None:
    """Refuse settings of a backbone where checkpoints say them."""
    given = [flag_of(name) for name in names_given(settings) if name in _OF_BACKBONE]
    if given:
        raise click.UsageError(f"{', '.join(given)} cannot go with {beside}: the checkpoints say it")


def _run(
    name: str,
    config: TrainingConfig,
    out: Path,
    part: str | None,
    sample: int,
    seed: int,
    device: str,
    both: tuple[Path, Path] | None,
    pairs: tuple[tuple[Path, Path], ...],
    panels: int | None,
) -> None:
    # Not at the top: they bring the engine, which the other commands can do without.
    from fastcam.reproduce.figures import sampled, write_figure
    from fastcam.training.batches import usable_workers
    from fastcam.training.data import read_part
    from fastcam.training.engine import start_engine

    engine = start_engine(device=device)
    with ExitStack() as opened:
        opened.enter_context(locked(out))
        testing = read_part(config.data, part or "test", out=out, images=config.images)
        split = sampled(testing, sample, seed)
        options: dict[str, Any] = {"workers": usable_workers(config.workers)}
        if panels is not None:
            options["panels"] = panels
        draw, networks = _prepared(name, config, engine, out, testing, seed, both, pairs)
        drawn: Drawn = draw(split, **options)
        of = {
            "dataset": testing.title,
            "part": testing.name,
            "pictures": len(split),
            "of_pictures": len(testing),
            "seed": seed,
            "networks_of": networks,
        }
        write_figure(out, name, drawn, of)
        say(drawn.says)


def _prepared(
    name: str,
    config: TrainingConfig,
    engine: Fabric,
    out: Path,
    testing: Split,
    seed: int,
    both: tuple[Path, Path] | None,
    pairs: tuple[tuple[Path, Path], ...],
) -> tuple[Callable[..., Drawn], dict[str, str]]:
    """Return what draws the figure of a split, and what its networks are."""
    from fastcam.reproduce import figures
    from fastcam.training.data import read_part

    device: torch.device = engine.device
    if pairs:
        several = [figures.Pair.trained(*pair, testing.classes, device=device) for pair in pairs]
        named = {one.title: f"{one.without.name}, {one.ours.name}" for one in several}
        return partial(figures.figure6, several), named
    networks: dict[str, Network]
    if both is not None:
        networks = figures.trained_networks(*both, testing.classes, device=device)
        named = {title: network.name for title, network in networks.items()}
    else:
        training = read_part(config.data, "train", out=out, images=config.images, truth=False)
        networks = figures.frozen_networks(config, engine, out, training, testing, seed)
        named = dict.fromkeys(networks, f"{config.model}, frozen, weights {config.weights}")
    if name == "figure6":
        pair = figures.Pair(f"{config.model}, CAM", networks["GAP"], networks["TAP"])
        return partial(figures.figure6, [pair]), named
    return partial(getattr(figures, name), networks), named


_WRITTEN = "Writes PNG, SVG and the numbers as JSON, and says what they show in a sentence."
_FROZEN = (
    "Without checkpoints it is a frozen backbone with classifiers trained as fastcam ablate trains them; in the --out "
    "of such a run it takes what is kept there."
)
_HOW = f"The networks are those of --gap and --tap. {_FROZEN} {_WRITTEN}"
_HOW_PAIRS = f"The networks are those of each --pair. {_FROZEN} {_WRITTEN}"

figure2 = _figure("figure2", "Figure 2: activated areas of channels, and their weights, under GAP and TAP.")
figure3 = _figure(
    "figure3", "Figure 3b: how much of what positive and negative weights activate lies inside the true boxes."
)
figure4 = _figure("figure4", "Figure 4: sorted map values, and how much the maximum and a percentile keep.")
figure5 = _figure("figure5", "Figure 5: pictures with boxes of the baseline, TAP, NWC and PaS.", panels=True)
figure6 = _figure(
    "figure6", "Figure 6: pictures with boxes of methods and networks, without and with ours.", panels=True
)
