"""``fastcam ablate``: the paper's Table 3 on one's own data."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from fastcam.cli.errors import click_errors
from fastcam.cli.settings import flag_of, names_given, settings_from, settings_options
from fastcam.cli.tables import budget_options
from fastcam.cli.terminal import say
from fastcam.lock import locked
from fastcam.result_files import replacing, write_json

__all__ = ["ablate"]

_DEFAULTS = {"model": "efficientnet-lite0", "weights": "imagenet", "hold_out": 0.2}


@click.command()
@settings_options(without=("pooling", "seed", "select"), defaults=_DEFAULTS)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for ablation.md, ablation.json and ablation.png; made if it is not there.",
)
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Trainings of each pooling.")
@budget_options
@click.option(
    "--features",
    type=click.Choice(["cached", "fine-tuned"]),
    default="cached",
    show_default=True,
    help="Freeze the backbone and compute its maps once, or train end to end (resumes what is in --out).",
)
@click.option(
    "--choose/--no-choose",
    default=True,
    show_default=True,
    help="With fine-tuned: choose each pooling's lr, classifier-ratio and freeze-norm on training images held out "
    "(--hold-out), or train as the settings have them.",
)
@click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="cpu, cuda, or auto.")
def ablate(
    file: Path | None,
    out: Path,
    seeds: int,
    budget: float | None,
    rows: tuple[str, ...],
    features: str,
    choose: bool,
    device: str,
    **settings: Any,  # noqa: ANN401
) -> None:
    """Judge the eight combinations of the paper's techniques: TAP x NWC x PaS.

    GAP and TAP are trained once for each seed and evaluated at the paper's fixed settings and at the oracle's
    threshold, as the paper's equations have it and as its released code does. Trivial predictors stand in the same
    table. Each pooling's schedule is chosen by the same search, for its own accuracy on training images held out,
    never on boxes. Settings are those of "fastcam train"; cached features use data, images, model, model-option,
    weights, crop, tap-threshold and workers, and other options are named as not used.
    """
    with ExitStack() as opened, click_errors(out, goes_on=True):
        # Not at the top: they bring the engine, which the other commands can do without.
        from fastcam.reproduce import (
            FINE_TUNINGS,
            TABLE_3,
            FineTuning,
            markdown,
            reproduce,
            unused_settings,
            write_plot,
        )
        from fastcam.training.engine import start_engine

        config = settings_from(file, settings, **_DEFAULTS)
        fine_tune = features == "fine-tuned"
        engine = start_engine(config.precision, device)
        if engine.is_global_zero:
            opened.enter_context(locked(out))
            unused = unused_settings(names_given(settings), fine_tune=fine_tune, several=choose)
            _say_unused(unused, fine_tune=fine_tune)
        candidates = FINE_TUNINGS if choose else (FineTuning.of(config),)
        result = reproduce(
            TABLE_3.only(rows) if rows else TABLE_3,
            config,
            engine,
            out,
            seeds=range(seeds),
            fine_tune=fine_tune,
            fine_tunings=candidates,
            budget=budget,
        )
        if engine.is_global_zero:
            text = markdown(result, TABLE_3.title)
            write_json(out / "ablation.json", result)
            with replacing(out / "ablation.md") as written:
                written.write(text.encode())
            write_plot(out / "ablation.png", result)
            say(text)


def _say_unused(names: tuple[str, ...], *, fine_tune: bool) -> None:
    """Say which options have no effect, and what would give them one."""
    if not names:
        return
    flags = ", ".join(map(flag_of, names))
    reason = (
        "rates are chosen by trial (--no-choose takes yours)"
        if fine_tune
        else "cached features train a classifier alone, whose schedule is chosen (--features fine-tuned uses them)"
    )
    say(f"not used: {flags}: {reason}", error=True)
