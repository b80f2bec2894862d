"""One backbone that is not trained, and the classifiers on it: :class:`FrozenBackbone`."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from fastcam.data import Split
from fastcam.models import Classifier
from fastcam.models.classifier import POOLINGS
from fastcam.network import Network
from fastcam.pooling import TAP
from fastcam.reproduce.budget import Budget
from fastcam.reproduce.choice import Choice
from fastcam.reproduce.features import pooled_features
from fastcam.reproduce.heads import Schedule, Search, choose_schedule, fit_head, held_out_accuracies, search_for
from fastcam.reproduce.kept import Kept, images_of
from fastcam.reproduce.table import Training
from fastcam.training.batches import mixed_seed
from fastcam.training.build import build
from fastcam.training.config import ConfigError, TrainingConfig
from fastcam.training.engine import Fabric

__all__ = ["FrozenBackbone"]

_CHANGEABLE = {"pooling", "tap_threshold"}


class FrozenBackbone:
    """A backbone, what each training's pooling makes of its maps, and the schedule of each training's classifier.

    All of it is computed here, or taken from ``out/kept/features``.

    Args:
        config: its data, model, weights, crop and TAP threshold.
        engine: where the features are computed.
        out: folder of what is kept.
        trainings: which may differ in their pooling alone.
        training_split: the training images.
        search: of every training's schedule; None: that for the number of images.
        budget: after which nothing more is computed.

    Attributes:
        model: the backbone, on the engine's device.
        inputs: what it sees of a picture.
        poolings: of each training.
        choices: of each training, its schedule.

    Raises:
        BudgetSpentError: the budget is spent.
        ConfigError: trainings that differ in more, which one backbone cannot serve; or ``out/kept`` is of another run.
    """

    def __init__(
        self,
        config: TrainingConfig,
        engine: Fabric,
        out: Path,
        trainings: Sequence[Training],
        training_split: Split,
        *,
        search: Search | None,
        budget: Budget,
    ) -> None:
        others = sorted({name for one in trainings for name, _ in one.changes} - _CHANGEABLE)
        if others:
            raise ConfigError(
                f"cached features serve trainings that differ in pooling alone, not in {', '.join(others)}"
            )
        self._classes = training_split.classes
        # Of random weights too what is kept goes on.
        torch.manual_seed(mixed_seed(config.seed, 0))
        without = replace(config, pooling="gap", tap_threshold=None)
        self.model: Classifier = build(without, len(self._classes))[0].to(engine.device)
        self.inputs = self.model.inputs.replace(resize=(config.crop, config.crop), crop=None)
        self.poolings: Mapping[Training, nn.Module] = {
            one: _pooling(one.applied(config), self.model) for one in trainings
        }
        search = search or search_for(len(training_split))
        self._kept = Kept(
            out / "kept" / "features",
            _follows_from(config, search, self.poolings, images_of(training_split), self._classes),
        )
        every = list(self.poolings.values())
        workers = config.workers
        pooled = pooled_features(
            self.model, training_split.records, self.inputs, every, self._kept, budget, workers=workers
        )
        self._pooled = dict(zip(trainings, pooled, strict=True))
        self._labels = torch.tensor([record.label for record in training_split])
        self.choices: dict[Training, Choice[Schedule]] = {}
        for one in trainings:
            budget.check()
            self.choices[one] = self._choice(one, search)

    def kept_of(self, testing: Split) -> Kept:
        """Return where the classifiers are kept, and what they say of test images."""
        return Kept(self._kept.folder / "networks", {"test": images_of(testing)})

    def head(self, training: Training, seed: int, kept: Kept) -> nn.Linear:
        """Train the classifier of one training with one seed, or take the one that is kept."""
        pooled, schedule = self._pooled[training], self.choices[training].schedule

        def fitted() -> dict[str, Tensor]:
            return dict(fit_head(pooled, self._labels, len(self._classes), schedule, seed=seed).state_dict())

        head = nn.Linear(pooled.shape[1], len(self._classes)).requires_grad_(False)
        head.load_state_dict(kept.tensors(f"{training.name}-{seed}/head", fitted))
        return head

    def network(self, training: Training, seed: int, kept: Kept) -> Network:
        """Return the backbone with the pooling of one training and its classifier, ready to localize."""
        model = copy.deepcopy(self.model)
        model.pool, model.classifier = self.poolings[training], self.head(training, seed, kept)
        device = self.model.classifier.weight.device
        return Network(training.title, model.to(device).eval(), model, self.inputs, self._classes, device)

    def _choice(self, training: Training, search: Search) -> Choice[Schedule]:
        def accuracies() -> dict[str, Tensor]:
            found = held_out_accuracies(self._pooled[training], self._labels, len(self._classes), search)
            known = [math.nan if one is None else one for one in found]
            return {"accuracies": torch.tensor(known, dtype=torch.float64)}

        found = self._kept.tensors(f"choice/{training.name}", accuracies)["accuracies"].tolist()
        given = [None if math.isnan(one) else one for one in found]
        return choose_schedule(search, given, what=f"schedule of {training.title}")


def _follows_from(
    config: TrainingConfig,
    search: Search,
    poolings: Mapping[Training, nn.Module],
    images: str,
    classes: Sequence[str],
) -> dict[str, object]:
    return {
        "model": config.model,
        "model_options": config.model_options,
        "weights": config.weights,
        # Random weights are the seed's.
        "seed": None if config.weights else config.seed,
        "crop": config.crop,
        "poolings": {one.name: repr(pooling) for one, pooling in poolings.items()},
        "search": asdict(search),
        "train": images,
        "classes": len(classes),
    }


def _pooling(config: TrainingConfig, model: Classifier) -> nn.Module:
    if config.pooling != "tap":
        return POOLINGS[config.pooling]()
    return TAP(model.tap_threshold if config.tap_threshold is None else config.tap_threshold)
