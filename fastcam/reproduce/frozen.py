"""Networks of which only the classifier is trained, on features that are computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from fastcam.activation import cam
from fastcam.data import Split
from fastcam.models import Classifier
from fastcam.models.classifier import POOLINGS
from fastcam.pooling import TAP
from fastcam.reproduce.choice import Choice
from fastcam.reproduce.features import feature_maps, pooled_features
from fastcam.reproduce.heads import Schedule, Search, choose_schedule, fit_head, search_for
from fastcam.reproduce.observed import Observed
from fastcam.reproduce.table import Training
from fastcam.training.build import build
from fastcam.training.config import ConfigError, TrainingConfig
from fastcam.training.data import read_part
from fastcam.training.engine import Fabric

__all__ = ["frozen"]

_CHANGEABLE = {"pooling", "tap_threshold"}


def frozen(
    config: TrainingConfig,
    engine: Fabric,
    out: Path,
    seeds: Sequence[int],
    search: Search | None,
    trainings: Sequence[Training],
    training_split: Split,
) -> tuple[Iterator[Observed], dict[Training, Choice[Schedule]]]:
    """Choose the schedule of each training now; train the classifiers as they are asked for.

    Args:
        config: its data, model, weights, crop and TAP threshold.
        engine: where the features are computed.
        out: folder of the synthetic benchmark.
        seeds: one classifier of each training for each.
        search: of every training; None: that for the number of images.
        trainings: which may differ in their pooling alone.
        training_split: the training images.

    Raises:
        ConfigError: trainings that differ in more, which one backbone cannot serve.
    """
    others = sorted({name for one in trainings for name, _ in one.changes} - _CHANGEABLE)
    if others:
        raise ConfigError(f"cached features serve trainings that differ in pooling alone, not in {', '.join(others)}")
    classes = len(training_split.classes)
    model = build(replace(config, pooling="gap", tap_threshold=None), classes)[0].to(engine.device)
    inputs = model.inputs.replace(resize=(config.crop, config.crop), crop=None)
    poolings = [_pooling(one.applied(config), model) for one in trainings]
    pooled = pooled_features(model, training_split.records, inputs, poolings, workers=config.workers)
    labels = torch.tensor([record.label for record in training_split])
    search = search or search_for(len(labels))
    choices = {
        one: choose_schedule(given, labels, classes, search, what=f"schedule of {one.title}")
        for one, given in zip(trainings, pooled, strict=True)
    }

    def networks() -> Iterator[Observed]:
        # Not before the schedules are chosen.
        testing = read_part(config.data, "test", out=out, images=config.images)
        features = feature_maps(model, testing.records, inputs, workers=config.workers)
        true = torch.tensor([record.label for record in testing])
        of_tests = [pooling(features) for pooling in poolings]
        for seed in seeds:
            for one, given, test in zip(trainings, pooled, of_tests, strict=True):
                head = fit_head(given, labels, classes, choices[one].schedule, seed=seed)
                yield Observed(one, head(test), _maps(features, head.weight, true))

    return networks(), choices


def _pooling(config: TrainingConfig, model: Classifier) -> nn.Module:
    if config.pooling != "tap":
        return POOLINGS[config.pooling]()
    return TAP(model.tap_threshold if config.tap_threshold is None else config.tap_threshold)


def _maps(features: Tensor, weight: Tensor, labels: Tensor) -> dict[bool, Tensor]:
    return {clamped: cam(features, weight, labels, clamp_negative=clamped).float() for clamped in (False, True)}
