"""Networks of which only the classifier is trained, on features that are computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from fastcam.ablation.choice import Choice
from fastcam.ablation.features import feature_maps, pooled_features
from fastcam.ablation.heads import Schedule, choose_schedule, fit_head
from fastcam.ablation.network import TrainedNetwork
from fastcam.data import Geometry, Split
from fastcam.pooling import GAP, TAP
from fastcam.training.build import build
from fastcam.training.config import TrainingConfig
from fastcam.training.data import read_part
from fastcam.training.engine import Fabric

__all__ = ["frozen"]


def frozen(
    config: TrainingConfig,
    engine: Fabric,
    out: Path,
    seeds: Sequence[int],
    schedules: Sequence[Schedule],
    training: Split,
) -> tuple[Iterator[TrainedNetwork], Choice[Schedule]]:
    """Choose the schedule now; train the classifiers as they are asked for.

    Args:
        config: its data, model, weights, crop and TAP threshold.
        engine: where the features are computed.
        out: folder of the synthetic benchmark.
        seeds: one classifier of each pooling for each.
        schedules: the candidates.
        training: the training images.
    """
    classes = len(training.classes)
    geometry = Geometry((config.crop, config.crop))
    model = build(replace(config, pooling="gap", tap_threshold=None), classes)[0].to(engine.device)
    threshold = model.tap_threshold if config.tap_threshold is None else config.tap_threshold
    poolings = (GAP(), TAP(threshold))
    pooled = pooled_features(model, training.records, geometry, poolings, workers=config.workers)
    labels = torch.tensor([record.label for record in training])
    choice = choose_schedule(pooled[0], labels, classes, schedules)

    def networks() -> Iterator[TrainedNetwork]:
        # Not before the schedule is chosen.
        testing = read_part(config.data, "test", out=out, images=config.images)
        features = feature_maps(model, testing.records, geometry, workers=config.workers)
        for seed in seeds:
            for tap, pooling, inputs in zip((False, True), poolings, pooled, strict=True):
                head = fit_head(inputs, labels, classes, choice.schedule, seed=seed)
                yield TrainedNetwork(tap, features, head.weight, head(pooling(features)))

    return networks(), choice
