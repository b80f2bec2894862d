"""``fastcam reproduce table1``, ``table2`` and ``table4``: methods and networks, with and without the techniques."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastcam.cli.errors import click_errors
from fastcam.cli.settings import settings_from, settings_options
from fastcam.cli.terminal import say
from fastcam.lock import locked
from fastcam.result_files import replacing, write_json

if TYPE_CHECKING:
    from fastcam.training.config import TrainingConfig

__all__ = ["budget_options", "table1", "table2", "table4"]

_DEFAULTS = {"hold_out": 0.2}

# What the rows of the tables say, or what is settled elsewhere.
_OF_ROWS = ("model", "method", "method_options", "pooling", "tap_threshold", "seed", "select")


def budget_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a table's command the options for what of it is run."""
    minutes = click.FloatRange(min=0, min_open=True)
    command = click.option(
        "--rows",
        multiple=True,
        metavar="ROW",
        help="These rows only, and their baselines; by name, by network, by method, or network/method. Repeat it.",
    )(command)
    return click.option(
        "--budget",
        type=minutes,
        metavar="MINUTES",
        help="Train nothing more after these minutes; the same command goes on from there.",
    )(command)


def _table(name: str, help_text: str, extra: tuple[str, ...] = ()) -> click.Command:
    """Make the command of one table."""

    @click.command(name, help=help_text)
    @settings_options(without=_OF_ROWS, defaults=_DEFAULTS)
    @click.option(
        "--out",
        required=True,
        type=click.Path(file_okay=False, path_type=Path),
        help=f"Folder for {name}.md, {name}.json and the trainings; made if it is not there.",
    )
    @click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Trainings of each row.")
    @budget_options
    @click.option(
        "--metric",
        type=click.Choice(["maxboxaccv2", "pxap"]),
        multiple=True,
        default=extra,
        show_default=bool(extra),
        help="A further number: MaxBoxAccV2 needs boxes, PxAP masks. Repeat it.",
    )
    @click.option(
        "--protocol",
        type=click.Choice(["paper", "authors"]),
        default="paper",
        show_default=True,
        help="How boxes are found and compared: by the paper's equations, or as its released code does.",
    )
    @click.option(
        "--choose/--no-choose",
        default=True,
        show_default=True,
        help="Choose each training's lr, classifier-ratio and freeze-norm on training images held out (--hold-out), "
        "or train as the settings have them.",
    )
    @click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="cpu, cuda, or auto.")
    def command(
        file: Path | None,
        out: Path,
        seeds: int,
        budget: float | None,
        rows: tuple[str, ...],
        metric: tuple[str, ...],
        protocol: str,
        choose: bool,
        device: str,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        with click_errors(out, goes_on=True):
            config = settings_from(file, settings, **_DEFAULTS)
            _run(name, config, out, seeds, budget, rows, metric, protocol, choose=choose, device=device)

    return command


def _run(
    name: str,
    config: TrainingConfig,
    out: Path,
    seeds: int,
    budget: float | None,
    rows: Sequence[str],
    extra: Sequence[str],
    protocol: str,
    *,
    choose: bool,
    device: str,
) -> None:
    # Not at the top: they bring the engine, which the other commands can do without.
    from fastcam.data.synthetic_masks import write_synthetic_masks
    from fastcam.reproduce import FINE_TUNINGS, FineTuning, reproduce
    from fastcam.reproduce.grid_report import grid_markdown
    from fastcam.reproduce.grids import GRIDS, PROTOCOLS, grid
    from fastcam.training.data import SYNTHETIC
    from fastcam.training.engine import first_of_machine, start_engine

    title, backbones, methods = GRIDS[name]
    table = grid(title, backbones, methods, PROTOCOLS[protocol])
    if rows:
        table = table.only(rows)
    engine = start_engine(config.precision, device)
    with ExitStack() as opened:
        if engine.is_global_zero:
            opened.enter_context(locked(out))
        if "pxap" in extra and config.data == SYNTHETIC:
            with first_of_machine(engine):
                write_synthetic_masks(out / "synthetic-masks")
            config = replace(config, data=str(out / "synthetic-masks"))
        candidates = FINE_TUNINGS if choose else (FineTuning.of(config),)
        result = reproduce(
            table,
            config,
            engine,
            out,
            seeds=range(seeds),
            fine_tune=True,
            fine_tunings=candidates,
            budget=budget,
            extra=extra,
        )
        if engine.is_global_zero:
            text = grid_markdown(result, title, name)
            write_json(out / f"{name}.json", result)
            with replacing(out / f"{name}.md") as written:
                written.write(text.encode())
            say(text)


_HOW = (
    "Every training chooses its own rates by the same search, for its accuracy on training images held out. "
    "Ours is TAP in training, NWC and PaS in localization, compared with the same network and method without them, "
    "at the paper's fixed thresholds; the oracle's number stands beside. Pairs that the literature does not define are "
    "empty, with the reason. Equal trainings run once. Settings are those of fastcam train."
)

table1 = _table("table1", f"Table 1: methods on networks, each with and without the three techniques.\n\n{_HOW}")
table2 = _table("table2", f"Table 2: networks, each with and without the three techniques.\n\n{_HOW}")
table4 = _table(
    "table4",
    "Table 4: PxAP on masks (OpenImages30K's layout, or synthetic), with and without the three techniques.\n\n"
    f"{_HOW} PxAP has no threshold: of PaS it sees maps divided by their percentile and clipped.",
    extra=("pxap",),
)
