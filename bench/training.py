"""What the training loop costs beside a bare forward and backward pass and step on the same batch.

python bench/training.py [--models mobilenetv1 resnet50] [--size 96] [--rounds 5] [--threads 2] [--out FILE.md]

The loop is that of `fastcam train` on the synthetic benchmark, pictures kept in memory as `--keep-pictures` has it: it
draws batches, crops, mirrors and normalizes, counts losses and hits, and looks at the loss after every step. Its speed
is that of the second epoch, as the history tells it; the first one decodes. In every round both are measured, in turns;
the ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import torch
from machine import describe
from torch import nn

from fastcam.data.synthetic import write_synthetic
from fastcam.training.build import build
from fastcam.training.config import TrainingConfig
from fastcam.training.engine import start_engine
from fastcam.training.loop import train
from fastcam.training.trainee import Trainee, make_optimizer

__all__ = ["main", "speeds"]

MUST: Final = 0.95
_STEPS: Final = 8
_BATCH: Final = 16


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["mobilenetv1", "resnet50"])
    parser.add_argument("--size", type=int, default=96, help="of the input, in pixels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="a Markdown file to write, instead of printing")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "birds")
        write_synthetic(data, train=_STEPS * _BATCH, test=4, classes=4, size=chosen.size)
        for model in chosen.models:
            config = TrainingConfig(
                data=str(data), model=model, epochs=2, batch_size=_BATCH, resize=chosen.size + chosen.size // 7,
                crop=chosen.size, hold_out=0, workers=0, keep_pictures=True,
            )  # fmt: skip
            rows.append((model, speeds(config, Path(folder), chosen.rounds)))
    text = report(rows, chosen.size)
    print(text)
    if chosen.out is not None:
        chosen.out.write_text(text + "\n")


def speeds(config: TrainingConfig, folder: Path, rounds: int) -> list[tuple[float, float]]:
    """Return the images a second of the loop and of the bare steps, one pair a round."""
    engine = start_engine(device="cpu")
    found = []
    for number in range(rounds):
        bare = _bare(config)
        trained = train(config, folder / f"{config.model}-{number}", engine)
        loop = trained.history[-1]["images_per_second"]
        assert loop is not None
        # Before and after, so that a machine that becomes slower or faster does so to both.
        found.append((loop, (bare + _bare(config)) / 2))
    return found


def _bare(config: TrainingConfig) -> float:
    """Images a second of steps on one batch that is there already."""
    torch.manual_seed(0)
    model, method = build(config, 4)
    trainee = Trainee(model, method, freeze_norm=config.freeze_norm).train()
    optimizer = make_optimizer(trainee, config)
    images = torch.randn(config.batch_size, 3, config.crop, config.crop)
    labels = torch.arange(config.batch_size) % 4

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    step()
    started = time.perf_counter()
    for _ in range(_STEPS):
        step()
    return _STEPS * config.batch_size / (time.perf_counter() - started)


def report(rows: Sequence[tuple[str, Sequence[tuple[float, float]]]], size: int) -> str:
    """The machine, and a line a model."""
    machine = [f"| {name} | {value} |" for name, value in describe().items() if name != "threads"]
    lines = [
        "| | |", "|---|---|", *machine, f"| threads | {torch.get_num_threads()} |", "",
        f"| {size}x{size}, batches of {_BATCH} | loop, images/s | bare steps, images/s | loop / bare | must | |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for model, pairs in rows:
        ratio = median(loop / bare for loop, bare in pairs)
        loop, bare = (median(column) for column in zip(*pairs, strict=True))
        met = "met" if ratio >= MUST else "**short**"
        lines.append(f"| {model} | {loop:.1f} | {bare:.1f} | {ratio:.2f} | >= {MUST} | {met} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
