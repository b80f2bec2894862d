"""``fastcam train``: a classifier to localize with."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from fastcam.cli.errors import click_errors
from fastcam.cli.settings import settings_from, settings_options
from fastcam.cli.terminal import say
from fastcam.lock import locked
from fastcam.protocol import NAMED
from fastcam.result_files import write_json

__all__ = ["train"]


@click.command()
@settings_options()
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for last.pt, history.csv, results.json; made if it is not there.",
)
@click.option("--resume", is_flag=True, help="Go on from last.pt in --out, if it is there.")
@click.option("--tensorboard", is_flag=True, help="Also log to tensorboard/ in --out.")
@click.option("--test/--no-test", default=True, help="End with the test images and their boxes, read only then.")
@click.option("--protocol", type=click.Choice(list(NAMED)), help="Of the test. [default: paper]")
@click.option(
    "--ours/--no-ours",
    default=None,
    help="With the paper's three techniques: TAP in training, NWC and PaS in the test; or with none of them. Says "
    "--pooling and --protocol.",
)
@click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="cpu, cuda, or auto.")
def train(
    file: Path | None,
    out: Path,
    resume: bool,
    tensorboard: bool,
    test: bool,
    protocol: str | None,
    ours: bool | None,
    device: str,
    **settings: Any,  # noqa: ANN401
) -> None:
    """Train a classifier to localize with; CONFIG is a TOML or YAML file, options take precedence over it.

    After every epoch last.pt and history.csv in --out are replaced whole: what is cut off loses one epoch and goes on
    with --resume. The accuracy of each epoch is that of training images held out. Several processes, on one machine
    or many: torchrun --nproc-per-node 2 --no-python fastcam train ...; the batch size is that of all together.
    """
    with ExitStack() as opened, click_errors(out):
        # Not at the top: they bring the engine, which the other commands can do without.
        from fastcam.reproduce.tables import with_techniques
        from fastcam.training.data import read_part
        from fastcam.training.engine import start_engine
        from fastcam.training.final import final_pass
        from fastcam.training.loop import train as run

        config, judged_by = settings_from(file, settings), NAMED[protocol or "paper"]
        if ours is not None:
            if protocol is not None or settings["pooling"] is not None:
                raise click.UsageError("--ours and --no-ours say --pooling and --protocol: give one or the other")
            config, judged_by = with_techniques(config, ours=ours)
        engine = start_engine(config.precision, device)
        if engine.is_global_zero:
            opened.enter_context(locked(out))
        trained = run(
            config,
            out,
            engine,
            resume=resume,
            tensorboard=tensorboard,
            on_epoch=lambda entry: _say_now(_epoch_line(entry, config.epochs)),
        )
        last = trained.history[trained.epoch - 1]
        results: dict[str, Any] = {"checkpoint": trained.checkpoint.name, **last}
        if test:
            split = read_part(config.data, "test", out=out, images=config.images)
            judged = final_pass(trained, split, engine, workers=config.workers, protocol=judged_by)
            name = next(name for name, known in NAMED.items() if known == judged_by)
            results |= {"protocol": name, "test": judged}
        if engine.is_global_zero:
            write_json(out / "results.json", results)
            say(f"{_epoch_line(last)}; {trained.checkpoint}")
            if test:
                names = {"top1_cls": "Top-1 Cls", "gt_loc": "GT Loc", "top1_loc": "Top-1 Loc"}
                say("test: " + ", ".join(f"{names[name]} {100 * value:.1f}%" for name, value in judged.items()))


def _say_now(line: str) -> None:
    """Print a line that a file or a pipe shows at once, not when its buffer is full."""
    say(line)
    sys.stdout.flush()


def _epoch_line(entry: Mapping[str, float | None], epochs: int | None = None) -> str:
    """Say how an epoch went, of how many."""
    of = "" if epochs is None else f" of {epochs}"
    top1 = entry["held_out_top1"]
    held = "" if top1 is None else f", {100 * top1:.1f}% right of those held out"
    speed = entry.get("images_per_second")
    told = "" if speed is None else f", {speed:.1f} images/s"
    return f"epoch {entry['epoch']}{of}: training loss {entry['train_loss']:.4f}{held}{told}"
