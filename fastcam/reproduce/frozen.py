"""Networks of which only the classifier is trained, on features that are computed once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from fastcam.activation import cam
from fastcam.data import Record, Split
from fastcam.inputs import Inputs
from fastcam.models import Classifier
from fastcam.models.classifier import POOLINGS
from fastcam.pooling import TAP
from fastcam.reproduce.budget import Budget
from fastcam.reproduce.choice import Choice
from fastcam.reproduce.features import features_in_batches, pooled_features
from fastcam.reproduce.heads import Schedule, Search, choose_schedule, fit_head, held_out_accuracies, search_for
from fastcam.reproduce.kept import Kept, images_of
from fastcam.reproduce.observed import Observed
from fastcam.reproduce.table import Training
from fastcam.training.batches import mixed_seed
from fastcam.training.build import build
from fastcam.training.config import ConfigError, TrainingConfig
from fastcam.training.data import read_part
from fastcam.training.engine import Fabric

__all__ = ["frozen"]

_CHANGEABLE = {"pooling", "tap_threshold"}
_TESTED_AT_ONCE = 2048


def frozen(
    config: TrainingConfig,
    engine: Fabric,
    out: Path,
    seeds: Sequence[int],
    search: Search | None,
    trainings: Sequence[Training],
    training_split: Split,
    budget: Budget,
) -> tuple[Iterator[Observed], dict[Training, Choice[Schedule]]]:
    """Choose the schedule of each training now; train the classifiers as they are asked for.

    What is computed is kept below ``out/kept``, where a run that was cut off goes on. Maps of test images are never
    in memory together.

    Args:
        config: its data, model, weights, crop and TAP threshold.
        engine: where the features are computed.
        out: folder of the table.
        seeds: one classifier of each training for each.
        search: of every training; None: that for the number of images.
        trainings: which may differ in their pooling alone.
        training_split: the training images.
        budget: after which no classifier is trained; what was trained is judged.

    Raises:
        BudgetSpentError: before every training had a classifier.
        ConfigError: trainings that differ in more, which one backbone cannot serve; or ``out/kept`` is of another
            run.
    """
    others = sorted({name for one in trainings for name, _ in one.changes} - _CHANGEABLE)
    if others:
        raise ConfigError(f"cached features serve trainings that differ in pooling alone, not in {', '.join(others)}")
    classes = len(training_split.classes)
    # Of random weights too what is kept goes on.
    torch.manual_seed(mixed_seed(config.seed, 0))
    model = build(replace(config, pooling="gap", tap_threshold=None), classes)[0].to(engine.device)
    inputs = model.inputs.replace(resize=(config.crop, config.crop), crop=None)
    poolings = [_pooling(one.applied(config), model) for one in trainings]
    search = search or search_for(len(training_split))
    kept = Kept(out / "kept" / "features", _follows_from(config, search, trainings, poolings, training_split))
    pooled = pooled_features(model, training_split.records, inputs, poolings, kept, budget, workers=config.workers)
    labels = torch.tensor([record.label for record in training_split])
    choices = {}
    for one, given in zip(trainings, pooled, strict=True):
        budget.check()
        choices[one] = _choice(one, given, labels, classes, search, kept)

    def networks() -> Iterator[Observed]:
        # Not before the schedules are chosen.
        testing = read_part(config.data, "test", out=out, images=config.images)
        kept_of_tests = Kept(kept.folder / "networks", {"test": images_of(testing)})
        heads: dict[str, tuple[nn.Module, nn.Linear]] = {}
        at: dict[str, Training] = {}
        for seed in seeds:
            if at and budget.spent():
                break
            for one, given, pooling in zip(trainings, pooled, poolings, strict=True):
                head = _head(given, labels, classes, choices[one].schedule, seed, f"{one.name}-{seed}", kept_of_tests)
                heads[f"{one.name}-{seed}"], at[f"{one.name}-{seed}"] = (pooling, head), one
        tests = _Tests(model, testing.records, inputs, heads, kept_of_tests, config.workers)
        for name, training in at.items():
            yield tests.observed(name, training)

    return networks(), choices


def _follows_from(
    config: TrainingConfig, search: Search, trainings: Sequence[Training], poolings: Sequence[nn.Module], split: Split
) -> dict[str, object]:
    return {
        "model": config.model,
        "model_options": config.model_options,
        "weights": config.weights,
        # Random weights are the seed's.
        "seed": None if config.weights else config.seed,
        "crop": config.crop,
        "poolings": {one.name: repr(pooling) for one, pooling in zip(trainings, poolings, strict=True)},
        "search": asdict(search),
        "train": images_of(split),
        "classes": len(split.classes),
    }


def _choice(
    training: Training, pooled: Tensor, labels: Tensor, classes: int, search: Search, kept: Kept
) -> Choice[Schedule]:
    def accuracies() -> dict[str, Tensor]:
        found = held_out_accuracies(pooled, labels, classes, search)
        return {"accuracies": torch.tensor([math.nan if one is None else one for one in found], dtype=torch.float64)}

    found = kept.tensors(f"choice/{training.name}", accuracies)["accuracies"].tolist()
    given = [None if math.isnan(one) else one for one in found]
    return choose_schedule(search, given, what=f"schedule of {training.title}")


def _head(
    pooled: Tensor, labels: Tensor, classes: int, schedule: Schedule, seed: int, name: str, kept: Kept
) -> nn.Linear:
    """Train the classifier of one training with one seed, or take the one that is kept."""

    def fitted() -> dict[str, Tensor]:
        return dict(fit_head(pooled, labels, classes, schedule, seed=seed).state_dict())

    head = nn.Linear(pooled.shape[1], classes).requires_grad_(False)
    head.load_state_dict(kept.tensors(f"{name}/head", fitted))
    return head


class _Tests:
    """The test images, seen once by all networks, in parts that fit in memory.

    Args:
        model: the backbone that the networks share.
        records: the images.
        inputs: what it sees of them.
        heads: of each network its pooling and its classifier, by name.
        kept: where what the networks say of each part is.
        workers: processes that decode.
    """

    def __init__(
        self,
        model: Classifier,
        records: Sequence[Record],
        inputs: Inputs,
        heads: Mapping[str, tuple[nn.Module, nn.Linear]],
        kept: Kept,
        workers: int,
    ) -> None:
        self._heads, self._kept = heads, kept
        self._parts = range(0, len(records), _TESTED_AT_ONCE)
        for first in self._parts:
            part = records[first : first + _TESTED_AT_ONCE]
            missing = [name for name in heads if f"{name}/test-{first:08d}" not in kept]
            if not missing:
                continue
            said: dict[str, list[dict[str, Tensor]]] = {name: [] for name in missing}
            labels = torch.tensor([record.label for record in part]).split(16)
            batches = features_in_batches(model, part, inputs, batch_size=16, workers=workers)
            for maps, true in zip(batches, labels, strict=True):
                for name in missing:
                    said[name].append(_said(maps.float().cpu(), true, *heads[name]))
            for name, parts in said.items():
                joined = {key: torch.cat([one[key] for one in parts]) for key in parts[0]}
                kept.tensors(f"{name}/test-{first:08d}", lambda joined=joined: joined)  # type: ignore[misc]

    def observed(self, name: str, training: Training) -> Observed:
        """Put together what one network says of all images."""
        parts = [self._kept.tensors(f"{name}/test-{first:08d}", dict) for first in self._parts]
        logits, plain, clamped = (torch.cat([one[key] for one in parts]) for key in ("logits", "plain", "clamped"))
        return Observed(training, logits, {False: plain, True: clamped})


def _said(maps: Tensor, labels: Tensor, pooling: nn.Module, head: nn.Linear) -> dict[str, Tensor]:
    with torch.inference_mode():
        return {
            "logits": head(pooling(maps)),
            "plain": cam(maps, head.weight, labels, clamp_negative=False).float(),
            "clamped": cam(maps, head.weight, labels, clamp_negative=True).float(),
        }


def _pooling(config: TrainingConfig, model: Classifier) -> nn.Module:
    if config.pooling != "tap":
        return POOLINGS[config.pooling]()
    return TAP(model.tap_threshold if config.tap_threshold is None else config.tap_threshold)
