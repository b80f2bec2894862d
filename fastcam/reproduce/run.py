"""A table on one's own data: its trainings run once a seed, its rows judged alike: :func:`reproduce`."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Collection, MutableMapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import torch

from fastcam.data import Split
from fastcam.inputs import Inputs
from fastcam.models import NETWORKS
from fastcam.reproduce.budget import Budget, BudgetSpentError
from fastcam.reproduce.choice import Choice
from fastcam.reproduce.fine_tuning import FINE_TUNINGS, FineTuning, choose_fine_tuning, fine_tuned
from fastcam.reproduce.frozen import frozen
from fastcam.reproduce.heads import Search
from fastcam.reproduce.judging import judge_table
from fastcam.reproduce.kept import Kept
from fastcam.reproduce.table import Table, Training
from fastcam.training.config import ConfigError, TrainingConfig
from fastcam.training.data import read_part
from fastcam.training.engine import Fabric

__all__ = ["reproduce", "unused_settings"]

# Settings that classifiers on cached features depend on; the table sets some of them. And what is chosen where there
# are several candidates.
_OF_CACHED = {"data", "images", "model", "model_options", "weights", "crop", "tap_threshold", "workers"}
_OF_TABLE = {"pooling", "seed", "select"}
_CHOSEN = ("lr", "classifier_ratio", "freeze_norm")


def reproduce(
    table: Table,
    config: TrainingConfig,
    engine: Fabric,
    out: Path,
    *,
    seeds: Sequence[int] = range(5),
    fine_tune: bool = False,
    search: Search | None = None,
    fine_tunings: Sequence[FineTuning] = FINE_TUNINGS,
    budget: float | None = None,
    extra: Sequence[str] = (),
) -> dict[str, Any]:
    """Run each training of a table with every seed, and judge the rows of every family.

    With cached features the backbone is frozen, its maps are computed once, without augmentation, and only the linear
    classifier is trained. With ``fine_tune`` each network is trained end to end as ``config`` says, into ``out/gap-0``
    and so on. Either way every training gets a schedule of its own, by the same search for its accuracy on training
    images held out, and is then run on all of them. A run that was cut off goes on from what ``out`` keeps.

    Args:
        table: such as :data:`fastcam.reproduce.TABLE_3`.
        config: data, model, weights, and with ``fine_tune`` the training. What the table's trainings change in it, its
            seed and select are not used, nor, where more than one candidate is given, its lr, classifier_ratio and
            freeze_norm.
        engine: where.
        out: folder of the trainings.
        seeds: one run of each training for each.
        fine_tune: train end to end. A training that comes to nothing leaves its rows empty, and says why.
        search: for the schedules of classifiers on cached features; None: that for the number of images.
        fine_tunings: candidates for ``fine_tune``.
        budget: minutes after which nothing more is trained; rows that were not reached say so.
        extra: further numbers, of :data:`fastcam.reproduce.extra.EXTRA`.

    Returns:
        Settings, and per family the rows of :func:`fastcam.reproduce.summary.summarize`, or, with ``name``,
        ``techniques`` and ``empty``, why there is none; strings, numbers, lists and dictionaries alone.

    Raises:
        ConfigError: a choice that cannot be met; or the budget is spent before the first row has a number.
        DataError: the data set is malformed.
        TrainingError: a training that cannot go on.
        ValueError: test images without boxes.
    """
    started = time.perf_counter()
    resumed = any(out.rglob("last.pt")) or (out / "kept").exists()
    if config.method in table.not_for:
        raise ConfigError(f"method {config.method!r}: the rows are those of a single class activation map")
    training = read_part(config.data, "train", out=out, images=config.images)
    _check_classes(training, config.data)
    clock = Budget(budget, engine)
    choices: dict[Training, Choice[Any]] = {}
    failures: dict[Training, str] = {}
    choose = _Choosing(partial(choose_fine_tuning, config, engine, out, fine_tunings, budget=clock), choices)
    try:
        if fine_tune:
            networks = fine_tuned(config, engine, out, seeds, table.trainings, choose, budget=clock, failures=failures)
        else:
            networks, found = frozen(config, engine, out, seeds, search, table.trainings, training, clock)
            choices.update(found)
            choose.seconds = time.perf_counter() - started
        testing = read_part(config.data, "test", out=out, images=config.images)
        judged = judge_table(
            table,
            networks,
            training,
            testing,
            Inputs((config.crop, config.crop)),
            Kept(out / "kept" / "judged", {}),
            failures,
            extra,
        )
    except BudgetSpentError as error:
        raise ConfigError(
            f"{error} before the first row has a number; {out} keeps what is finished, and the same command goes on"
        ) from error
    if not any("empty" not in row for rows in judged["families"].values() for row in rows):
        raise ConfigError("; ".join(dict.fromkeys(failures.values())))
    cached = "frozen backbone, features cached, classifiers trained on them"
    return {
        **_facts(config, training, testing),
        "seeds": list(seeds),
        "training": _fine_tuning_described(config) if fine_tune else cached,
        "choices": {one.title: choice.to_json() for one, choice in choices.items()},
        **judged,
        "undefined": dict(table.undefined),
        "machine": f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {_machine(engine)}",
        "resumed": resumed,
        "choice_seconds": choose.seconds,
        "seconds": time.perf_counter() - started,
    }


class _Choosing:
    """Gives every training its rates, and keeps them.

    Args:
        choose: chooses the rates of one.
        choices: where they are kept.
    """

    def __init__(
        self, choose: Callable[[Training], Choice[FineTuning]], choices: MutableMapping[Training, Choice[Any]]
    ) -> None:
        self._choose, self._choices, self.seconds = choose, choices, 0.0

    def __call__(self, training: Training) -> Choice[FineTuning]:
        if training not in self._choices:
            started = time.perf_counter()
            self._choices[training] = self._choose(training)
            self.seconds += time.perf_counter() - started
        return self._choices[training]


def unused_settings(given: Collection[str], *, fine_tune: bool, several: bool) -> tuple[str, ...]:
    """Return which of some settings have no effect on :func:`reproduce`.

    Args:
        given: names of settings.
        fine_tune: as there.
        several: more than one candidate is given, one of which is chosen.

    Example:
        >>> unused_settings({"lr", "epochs", "crop"}, fine_tune=False, several=True)
        ('epochs', 'lr')
        >>> unused_settings({"lr", "epochs", "crop"}, fine_tune=True, several=True)
        ('lr',)
    """
    if fine_tune:
        unused: Collection[str] = _CHOSEN if several else ()
    else:
        unused = {field.name for field in fields(TrainingConfig)} - _OF_CACHED - _OF_TABLE
    return tuple(field.name for field in fields(TrainingConfig) if field.name in unused and field.name in given)


def _check_classes(split: Split, data: str) -> None:
    """Refuse training images that leave classes out: a network would never be right of them."""
    known = {record.label for record in split}
    without = [name for label, name in enumerate(split.classes) if label not in known]
    if without:
        names = ", ".join(map(repr, without[:5])) + (f" and {len(without) - 5} more" if len(without) > 5 else "")
        raise ConfigError(f"data: {data!r} has no training images of {names}")


def _facts(config: TrainingConfig, training: Split, testing: Split) -> dict[str, Any]:
    classes = len(training.classes)
    remark = f"{classes} classes are not CUB-200-2011: the numbers do not compare with the paper's."
    threshold = NETWORKS[config.model].tap_threshold if config.tap_threshold is None else config.tap_threshold
    return {
        "model": config.model,
        "dataset": training.title,
        "classes": classes,
        "train_images": len(training),
        "test_images": len(testing),
        "tap_threshold": threshold,
        "remark": remark if training.dataset == "CUB" and classes != 200 else "",
        "config": {**config.to_mapping(), "data": Path(config.data).name},
    }


def _fine_tuning_described(config: TrainingConfig) -> str:
    decay = f", rates x {config.decay_factor:g} every {config.decay_every} epochs" if config.decay_every else ""
    return (
        f"fine-tuned end to end: method {config.method}, {config.epochs} epochs, batches of {config.batch_size}{decay}"
    )


def _machine(engine: Fabric) -> str:
    return torch.cuda.get_device_name(engine.device) if engine.device.type == "cuda" else platform.machine()
