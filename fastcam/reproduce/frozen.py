"""Networks of which only the classifier is trained, on features that are computed once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from fastcam.activation import cam
from fastcam.data import Record, Split
from fastcam.inputs import Inputs
from fastcam.models import Classifier
from fastcam.reproduce.backbone import FrozenBackbone
from fastcam.reproduce.budget import Budget
from fastcam.reproduce.choice import Choice
from fastcam.reproduce.features import features_in_batches
from fastcam.reproduce.heads import Schedule, Search
from fastcam.reproduce.kept import Kept
from fastcam.reproduce.observed import Observed
from fastcam.reproduce.table import Training
from fastcam.training.config import TrainingConfig
from fastcam.training.data import read_part
from fastcam.training.engine import Fabric

__all__ = ["frozen"]

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
    backbone = FrozenBackbone(config, engine, out, trainings, training_split, search=search, budget=budget)

    def networks() -> Iterator[Observed]:
        # Not before the schedules are chosen.
        testing = read_part(config.data, "test", out=out, images=config.images)
        kept = backbone.kept_of(testing)
        heads: dict[str, tuple[nn.Module, nn.Linear]] = {}
        at: dict[str, Training] = {}
        for seed in seeds:
            if at and budget.spent():
                break
            for one in trainings:
                name = f"{one.name}-{seed}"
                heads[name], at[name] = (backbone.poolings[one], backbone.head(one, seed, kept)), one
        tests = _Tests(backbone.model, testing.records, backbone.inputs, heads, kept, config.workers)
        for name, training in at.items():
            yield tests.observed(name, training)

    return networks(), backbone.choices


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
