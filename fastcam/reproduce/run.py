"""A table on one's own data: its trainings run once a seed, its rows judged alike: :func:`reproduce`."""

from __future__ import annotations

import platform
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fastcam.data import Split
from fastcam.evaluation.judge import Judge
from fastcam.evaluation.report import COLUMNS
from fastcam.evaluation.trivial import trivial_boxes
from fastcam.evaluation.truth import Truth, ground_truth
from fastcam.inputs import Inputs
from fastcam.models import NETWORKS
from fastcam.reproduce.choice import Choice
from fastcam.reproduce.fine_tuning import FINE_TUNINGS, FineTuning, choose_fine_tuning, fine_tuned
from fastcam.reproduce.frozen import frozen
from fastcam.reproduce.heads import Schedule, Search
from fastcam.reproduce.judged import RowJudged, judge_row
from fastcam.reproduce.observed import Observed
from fastcam.reproduce.summary import summarize, summarize_trivial
from fastcam.reproduce.table import Table, Training
from fastcam.training.config import ConfigError, TrainingConfig
from fastcam.training.data import read_part
from fastcam.training.engine import Fabric

__all__ = ["reproduce", "unused_settings"]

# What the classifiers on cached features do not depend on, and what is chosen where there are several candidates.
_OF_FINE_TUNING = (
    *("new_classifier", "method", "method_options", "epochs", "batch_size", "accumulate", "lr", "classifier_ratio"),
    *("momentum", "weight_decay", "decay_every", "decay_factor", "freeze_norm", "resize", "flip", "hold_out"),
    "precision",
)
_CHOSEN = ("lr", "classifier_ratio", "freeze_norm")

_Results = dict[str, list[list[RowJudged]]]


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
) -> dict[str, Any]:
    """Run each training of a table with every seed, and judge the rows of every family.

    With cached features the backbone is frozen, its maps are computed once, without augmentation, and only the linear
    classifier is trained. With ``fine_tune`` each network is trained end to end as ``config`` says, into ``out/gap-0``
    and so on; a run that was cut off goes on from there. Either way every training gets a schedule of its own, by the
    same search for its accuracy on training images held out, and is then run on all of them.

    Args:
        table: such as :data:`fastcam.reproduce.TABLE_3`.
        config: data, model, weights, and with ``fine_tune`` the training. What the table's trainings change in it, its
            seed and select are not used, nor, where more than one candidate is given, its lr, classifier_ratio and
            freeze_norm.
        engine: where.
        out: folder of the trainings.
        seeds: one run of each training for each.
        fine_tune: train end to end.
        search: for the schedules of classifiers on cached features; None: that for the number of images.
        fine_tunings: candidates for ``fine_tune``.

    Returns:
        Settings, and per family the rows of :func:`fastcam.reproduce.summary.summarize`: strings, numbers, lists and
        dictionaries alone.

    Raises:
        ConfigError: a choice that cannot be met.
        DataError: the data set is malformed.
        TrainingError: a training that cannot go on.
        ValueError: test images without boxes.
    """
    started, resumed = time.perf_counter(), fine_tune and any(out.rglob("last.pt"))
    if config.method in table.not_for:
        raise ConfigError(f"method {config.method!r}: the rows are those of a single class activation map")
    training = read_part(config.data, "train", out=out, images=config.images)
    choices: dict[Training, Choice[FineTuning]] | dict[Training, Choice[Schedule]]
    if fine_tune:
        choices = {one: choose_fine_tuning(config, engine, out, fine_tunings, one) for one in table.trainings}
        described = _fine_tuning_described(config)
        networks = fine_tuned(config, engine, out, seeds, choices)
    else:
        networks, choices = frozen(config, engine, out, seeds, search, table.trainings, training)
        described = "frozen backbone, features cached, classifiers trained on them"
    chosen_after = time.perf_counter() - started
    testing = read_part(config.data, "test", out=out, images=config.images)
    return {
        **_facts(config, training, testing),
        "seeds": list(seeds),
        "training": described,
        "choices": {one.title: choice.to_json() for one, choice in choices.items()},
        **_judged(table, networks, training, testing, Inputs((config.crop, config.crop))),
        "machine": f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {_machine(engine)}",
        "resumed": resumed,
        "choice_seconds": chosen_after,
        "seconds": time.perf_counter() - started,
    }


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
    unused = (_CHOSEN if several else ()) if fine_tune else _OF_FINE_TUNING
    return tuple(name for name in unused if name in given)


def _judged(
    table: Table, networks: Iterable[Observed], training: Split, testing: Split, inputs: Inputs
) -> dict[str, Any]:
    """Judge the rows, and beside them what looks at no image."""
    truth, trained_on = _truth(testing, inputs), _truth(training, inputs)
    results, map_size = _judge(table, networks, truth, inputs.size)
    first = next(iter(results.values()))[0]
    correct = np.stack([one.judged.hits()["top1_cls"] for one in first])
    trivial: dict[str, Any] = {}
    families = {}
    for family, rows in table.families.items():
        protocol = rows[0].protocol
        boxes = trivial_boxes(inputs.size, trained_on, protocol)
        for name, box in boxes.items():
            trivial.setdefault(COLUMNS[name], {})[family] = summarize_trivial(box, truth, protocol, correct)
        centred = Judge(truth, protocol).fits(torch.from_numpy(boxes["centred_box"])[None])
        families[family] = summarize(rows, results[family], centred)
    return {"size": list(inputs.size), "map_size": list(map_size), "trivial": trivial, "families": families}


def _truth(split: Split, inputs: Inputs) -> Truth:
    if not split.has_boxes:
        raise ValueError(f"localization is judged by boxes: {split.dataset} {split.name} has images without")
    return ground_truth(split, inputs)


def _judge(
    table: Table, networks: Iterable[Observed], truth: Truth, size: tuple[int, int]
) -> tuple[_Results, tuple[int, ...]]:
    """Judge all rows with all seeds, by family and row; return the size of the maps too."""
    results: _Results = {family: [[] for _ in rows] for family, rows in table.families.items()}
    map_size: tuple[int, ...] = ()
    for network in networks:
        map_size = tuple(network.maps[False].shape[1:])
        for family, rows in table.families.items():
            for row, seeds in zip(rows, results[family], strict=True):
                if row.training == network.training:
                    seeds.append(judge_row(network, row.protocol, truth, size))
    return results, map_size


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
