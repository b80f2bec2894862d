"""The ablation: two poolings trained once a seed, eight rows judged: :func:`ablate`."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fastcam.ablation.choice import Choice
from fastcam.ablation.features import Truth, read_truth
from fastcam.ablation.fine_tuning import FINE_TUNINGS, FineTuning, choose_fine_tuning, fine_tuned
from fastcam.ablation.frozen import frozen
from fastcam.ablation.heads import SCHEDULES, Schedule
from fastcam.ablation.network import TrainedNetwork
from fastcam.ablation.result import summarize, summarize_trivial
from fastcam.ablation.rows import FAMILIES, ROWS, Judged, Row, found_by, judge
from fastcam.ablation.trivial import CENTRED, trivial_boxes
from fastcam.data import Geometry, Split
from fastcam.models import NETWORKS
from fastcam.training.config import ConfigError, TrainingConfig
from fastcam.training.data import read_part
from fastcam.training.engine import Fabric

__all__ = ["ablate"]


def ablate(
    config: TrainingConfig,
    engine: Fabric,
    out: Path,
    *,
    seeds: Sequence[int] = range(5),
    fine_tune: bool = False,
    schedules: Sequence[Schedule] = SCHEDULES,
    fine_tunings: Sequence[FineTuning] = FINE_TUNINGS,
) -> dict[str, Any]:
    """Train GAP and TAP with every seed, and judge the eight rows of Table 3 under both families of protocols.

    With cached features the backbone is frozen, its maps are computed once, without augmentation, and only the linear
    classifier is trained. With ``fine_tune`` each network is trained end to end as ``config`` says, into ``out/gap-0``
    and so on; a run that was cut off goes on from there. Either way both poolings get the same schedule, chosen for
    the baseline's accuracy on training images held out, and are then trained on all of them.

    Args:
        config: data, model, weights, and with ``fine_tune`` the training. Its pooling, seed and select are not used,
            nor, where more than one candidate is given, its lr, classifier_ratio and freeze_norm.
        engine: where.
        out: folder of the trainings.
        seeds: one training of each pooling for each.
        fine_tune: train end to end.
        schedules: candidates for cached features.
        fine_tunings: candidates for ``fine_tune``.

    Returns:
        Settings, and per family the rows of :func:`fastcam.ablation.result.summarize`: strings, numbers, lists and
        dictionaries alone.

    Raises:
        ConfigError: a choice that cannot be met.
        DataError: the data set is malformed.
        TrainingError: a training that cannot go on.
        ValueError: test images without boxes.
    """
    started, resumed = time.perf_counter(), fine_tune and any(out.rglob("last.pt"))
    if config.method in ("acol", "spg"):
        raise ConfigError(f"method {config.method!r}: the rows are those of a single class activation map")
    training = read_part(config.data, "train", out=out, images=config.images)
    choice: Choice[FineTuning] | Choice[Schedule]
    if fine_tune:
        choice = chosen = choose_fine_tuning(config, engine, out, fine_tunings)
        config = chosen.schedule.applied(config)
        described = _fine_tuning_described(config)
        networks = fine_tuned(config, engine, out, seeds)
    else:
        networks, choice = frozen(config, engine, out, seeds, schedules, training)
        described = _frozen_described(choice.schedule)
    chosen_after = time.perf_counter() - started
    testing = read_part(config.data, "test", out=out, images=config.images)
    return {
        **_facts(config, training, testing),
        "seeds": list(seeds),
        "training": described,
        "choice": choice.to_json(),
        **_judged(networks, training, testing, Geometry((config.crop, config.crop))),
        "machine": f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {_machine(engine)}",
        "resumed": resumed,
        "choice_seconds": chosen_after,
        "seconds": time.perf_counter() - started,
    }


def _judged(networks: Iterable[TrainedNetwork], training: Split, testing: Split, geometry: Geometry) -> dict[str, Any]:
    """Judge the rows, and beside them what looks at no image."""
    truth, size = read_truth(testing, geometry), geometry.size
    judged, map_size = _judge(networks, truth, size)
    trained_on = read_truth(training, geometry)
    trivial = {name: trivial_boxes(size, trained_on, inclusive=family.inclusive) for name, family in FAMILIES.items()}
    baseline = np.stack([one.correct for one in next(iter(judged.values()))[ROWS[0]]])
    centred = {
        name: found_by(trivial[name][CENTRED], truth, inclusive=family.inclusive) for name, family in FAMILIES.items()
    }
    return {
        "size": list(size),
        "map_size": list(map_size),
        "trivial": summarize_trivial(trivial, truth, baseline),
        "families": {name: summarize(rows, centred[name]) for name, rows in judged.items()},
    }


def _judge(
    networks: Iterable[TrainedNetwork], truth: Truth, size: tuple[int, int]
) -> tuple[dict[str, dict[Row, list[Judged]]], tuple[int, ...]]:
    """Judge all rows of all seeds, by family; return the size of the maps too."""
    judged: dict[str, dict[Row, list[Judged]]] = {family: {row: [] for row in ROWS} for family in FAMILIES}
    map_size: tuple[int, ...] = ()
    for network in networks:
        map_size = tuple(network.features.shape[2:])
        for name, family in FAMILIES.items():
            by_row = judge(network.features, network.weight, network.logits, truth, size, family)
            for (nwc, pas), one in by_row.items():
                judged[name][Row(network.tap, nwc, pas)].append(one)
    return judged, map_size


def _facts(config: TrainingConfig, training: Split, testing: Split) -> dict[str, Any]:
    classes = len(training.classes)
    remark = f"{classes} classes are not CUB-200-2011: the numbers do not compare with the paper's."
    threshold = NETWORKS[config.model].tap_threshold if config.tap_threshold is None else config.tap_threshold
    return {
        "model": config.model,
        "dataset": training.dataset,
        "classes": classes,
        "train_images": len(training),
        "test_images": len(testing),
        "tap_threshold": threshold,
        "remark": remark if training.dataset == "CUB" and classes != 200 else "",
        "config": {**config.to_mapping(), "data": Path(config.data).name},
    }


def _frozen_described(schedule: Schedule) -> str:
    return (
        f"frozen backbone, features cached, both poolings' classifiers trained alike: lr {schedule.lr:g}, "
        f"{schedule.epochs} epochs, batches of {schedule.batch_size}"
    )


def _fine_tuning_described(config: TrainingConfig) -> str:
    decay = f", x {config.decay_factor:g} every {config.decay_every} epochs" if config.decay_every else ""
    return (
        f"fine-tuned end to end, both poolings alike: method {config.method}, {config.epochs} epochs, batches of "
        f"{config.batch_size}, {FineTuning.of(config).name}{decay}"
    )


def _machine(engine: Fabric) -> str:
    return torch.cuda.get_device_name(engine.device) if engine.device.type == "cuda" else platform.machine()
