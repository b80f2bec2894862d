"""The ablation: two poolings trained once a seed, eight rows judged: :func:`ablate`."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastcam.ablation.features import feature_maps, pooled_features, read_truth
from fastcam.ablation.heads import Choice, Schedule, choose_schedule, fit_head
from fastcam.ablation.result import found_by, summarize, summarize_trivial
from fastcam.ablation.rows import FAMILIES, ROWS, Judged, Row, judge
from fastcam.ablation.trivial import CENTRED, trivial_boxes
from fastcam.data import Geometry, Split
from fastcam.models import NETWORKS
from fastcam.pooling import GAP, TAP
from fastcam.training.build import build
from fastcam.training.config import ConfigError, TrainingConfig
from fastcam.training.data import read_part
from fastcam.training.engine import Fabric
from fastcam.training.loop import train

__all__ = ["SCHEDULES", "ablate"]

SCHEDULES = tuple(Schedule(lr, epochs) for lr, epochs in product((0.003, 0.01, 0.03, 0.1, 0.3), (25, 50, 100)))
"""What the schedule of classifiers on cached features is chosen from."""


@dataclass(frozen=True)
class _Network:
    """A trained network on the test images: maps (N, C, h, w), the classifier's weight (K, C), logits (N, K)."""

    tap: bool
    features: Tensor
    weight: Tensor
    logits: Tensor


def ablate(
    config: TrainingConfig,
    engine: Fabric,
    out: Path,
    *,
    seeds: Sequence[int] = range(5),
    fine_tune: bool = False,
    schedules: Sequence[Schedule] = SCHEDULES,
) -> dict[str, Any]:
    """Train GAP and TAP with every seed, and judge the eight rows of Table 3 under both families of protocols.

    With cached features the backbone is frozen, its maps are computed once, without augmentation, and only the linear
    classifier is trained; its schedule is chosen for the baseline's accuracy on training images held out. With
    ``fine_tune`` each network is trained end to end as ``config`` says, into ``out/gap-0`` and so on; a run that was
    cut off goes on from there.

    Args:
        config: data, model, weights, and with ``fine_tune`` the training. Its pooling and seed are not used.
        engine: where.
        out: folder of the trainings.
        seeds: one training of each pooling for each.
        fine_tune: train end to end.
        schedules: candidates for cached features.

    Returns:
        Settings, and per family the rows of :func:`fastcam.ablation.result.summarize`: strings, numbers, lists and
        dictionaries alone.

    Raises:
        ConfigError: a choice that cannot be met.
        DataError: the data set is malformed.
        ValueError: test images without boxes.
    """
    started = time.perf_counter()
    if config.method in ("acol", "spg"):
        raise ConfigError(f"method {config.method!r}: the rows are those of a single class activation map")
    size = (config.crop, config.crop)
    training = read_part(config.data, "train", out=out, images=config.images)
    networks, choice = (
        (_fine_tuned(config, engine, out, seeds), None)
        if fine_tune
        else _cached(config, engine, out, seeds, schedules, training)
    )
    testing = read_part(config.data, "test", out=out, images=config.images)
    truth = read_truth(testing, Geometry(size))
    judged: dict[str, dict[Row, list[Judged]]] = {family: {row: [] for row in ROWS} for family in FAMILIES}
    map_size: tuple[int, ...] = ()
    for network in networks:
        map_size = tuple(network.features.shape[2:])
        for name, family in FAMILIES.items():
            by_row = judge(network.features, network.weight, network.logits, truth, size, family)
            for (nwc, pas), one in by_row.items():
                judged[name][Row(network.tap, nwc, pas)].append(one)
    baseline = np.stack([one.correct for one in next(iter(judged.values()))[ROWS[0]]])
    trivial = trivial_boxes(size, read_truth(training, Geometry(size)))
    tap_threshold = NETWORKS[config.model].tap_threshold if config.tap_threshold is None else config.tap_threshold
    return {
        "model": config.model,
        "dataset": training.dataset,
        "classes": len(training.classes),
        "train_images": len(training),
        "test_images": len(testing),
        "seeds": list(seeds),
        "training": _described(config, fine_tune, choice),
        "tap_threshold": tap_threshold,
        "size": list(size),
        "map_size": list(map_size),
        "remark": _remark(training),
        "schedule_choice": None if choice is None else _tried(choice),
        "config": {**config.to_mapping(), "data": Path(config.data).name},
        "trivial": summarize_trivial(trivial, truth, baseline),
        "families": {
            name: summarize(rows, found_by(trivial[CENTRED], truth, FAMILIES[name])) for name, rows in judged.items()
        },
        "machine": f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {_machine(engine)}",
        "seconds": time.perf_counter() - started,
    }


def _cached(
    config: TrainingConfig,
    engine: Fabric,
    out: Path,
    seeds: Sequence[int],
    schedules: Sequence[Schedule],
    training: Split,
) -> tuple[Iterator[_Network], Choice]:
    """Choose the schedule now; train the classifiers as they are asked for."""
    classes = len(training.classes)
    geometry = Geometry((config.crop, config.crop))
    model = build(replace(config, pooling="gap", tap_threshold=None), classes)[0].to(engine.device)
    threshold = model.tap_threshold if config.tap_threshold is None else config.tap_threshold
    poolings = (GAP(), TAP(threshold))
    pooled = pooled_features(model, training.records, geometry, poolings, workers=config.workers)
    labels = torch.tensor([record.label for record in training])
    choice = choose_schedule(pooled[0], labels, classes, schedules)

    def networks() -> Iterator[_Network]:
        # Not before the schedule is chosen.
        testing = read_part(config.data, "test", out=out, images=config.images)
        features = feature_maps(model, testing.records, geometry, workers=config.workers)
        for seed in seeds:
            for tap, pooling, inputs in zip((False, True), poolings, pooled, strict=True):
                head = fit_head(inputs, labels, classes, choice.schedule, seed=seed)
                yield _Network(tap, features, head.weight, head(pooling(features)))

    return networks(), choice


def _fine_tuned(config: TrainingConfig, engine: Fabric, out: Path, seeds: Sequence[int]) -> Iterator[_Network]:
    for seed in seeds:
        for tap in (False, True):
            own = replace(
                config,
                seed=seed,
                pooling="tap" if tap else "gap",
                tap_threshold=config.tap_threshold if tap else None,
            )
            folder = out / f"{own.pooling}-{seed}"
            model = train(own, folder, engine, resume=True, data_root=out).model
            testing = read_part(config.data, "test", out=out, images=config.images)
            maps = feature_maps(model, testing.records, Geometry((config.crop, config.crop)), workers=config.workers)
            head = model.classifier.cpu()
            with torch.no_grad():
                yield _Network(tap, maps, head.weight.detach(), head(model.pool(maps)))


def _described(config: TrainingConfig, fine_tune: bool, choice: Choice | None) -> str:
    if fine_tune:
        return (
            f"fine-tuned end to end, method {config.method}, {config.epochs} epochs, batches of {config.batch_size}, "
            f"lr {config.lr:g} (classifier x {config.classifier_ratio:g}), the same for both poolings"
        )
    assert choice is not None
    one = choice.schedule
    return (
        f"frozen backbone, features cached, both poolings' classifiers trained alike: lr {one.lr:g}, "
        f"{one.epochs} epochs, batches of {one.batch_size}"
    )


def _remark(training: Split) -> str:
    if training.dataset == "CUB" and len(training.classes) != 200:
        return f"{len(training.classes)} classes are not CUB-200-2011: the numbers do not compare with the paper's."
    return ""


def _tried(choice: Choice) -> list[dict[str, Any]]:
    return [{**asdict(one), "accuracy": accuracy} for one, accuracy in choice.accuracies.items()]


def _machine(engine: Fabric) -> str:
    return torch.cuda.get_device_name(engine.device) if engine.device.type == "cuda" else platform.machine()
