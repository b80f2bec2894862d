"""Networks trained end to end, and how the rates of that are chosen: :func:`choose_fine_tuning`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from torch import Tensor

from fastcam.data import Split
from fastcam.methods import MethodExtractor
from fastcam.network import Network
from fastcam.reproduce.budget import Budget
from fastcam.reproduce.choice import Candidate, Choice, Tried
from fastcam.reproduce.kept import Kept, images_of
from fastcam.reproduce.observed import Observed, observe
from fastcam.reproduce.table import Training
from fastcam.training.batches import usable_workers
from fastcam.training.config import ConfigError, TrainingConfig
from fastcam.training.data import read_part
from fastcam.training.engine import Fabric
from fastcam.training.errors import DivergedError
from fastcam.training.loop import train
from fastcam.training.trained import Trained

__all__ = ["FINE_TUNINGS", "AllDivergedError", "FineTuning", "choose_fine_tuning", "fine_tuned"]


@dataclass(frozen=True)
class FineTuning(Candidate):
    """The part of a training's settings that is chosen.

    Attributes:
        lr: learning rate of the backbone.
        classifier_ratio: of the classifier's learning rate to ``lr``.
        freeze_norm: leave batch normalization as it is.
    """

    lr: float
    classifier_ratio: float
    freeze_norm: bool

    @classmethod
    def of(cls, config: TrainingConfig) -> FineTuning:
        """Return what a configuration says."""
        return cls(config.lr, config.classifier_ratio, config.freeze_norm)

    @property
    def name(self) -> str:
        """Of the candidate, in a list."""
        norms = "frozen" if self.freeze_norm else "trained"
        return f"lr {self.lr:g} (classifier x {self.classifier_ratio:g}), normalization {norms}"

    def applied(self, config: TrainingConfig) -> TrainingConfig:
        """Return a configuration with these rates."""
        return replace(config, lr=self.lr, classifier_ratio=self.classifier_ratio, freeze_norm=self.freeze_norm)


FINE_TUNINGS = tuple(
    FineTuning(lr, ratio, frozen) for frozen, lr, ratio in product((True, False), (0.003, 0.01), (0.1, 1.0, 10.0))
)
"""What the rates of an end-to-end training are chosen from.

The values that TAP pools are several times those of GAP, and so is the gradient of its classifier: it may want a lower
rate there.
"""


class AllDivergedError(ConfigError):
    """No candidate for the rates of a training that does not diverge; the message says how each did."""


def choose_fine_tuning(
    config: TrainingConfig,
    engine: Fabric,
    out: Path,
    tried: Sequence[FineTuning],
    training: Training,
    *,
    budget: Budget | None = None,
) -> Choice[FineTuning]:
    """Choose the rates of a training by its own classification accuracy; boxes have no part in it.

    Every candidate trains the network for all of the epochs on what ``config.hold_out`` leaves of the training images,
    into a folder of its own below ``out/choice``; a choice that was cut off goes on from there. Of equally accurate
    ones the lower loss on the images held out is better. A candidate diverges where its loss is not finite, or in the
    last epoch still that of a guess, to within a twentieth.

    Args:
        config: what all trainings share.
        engine: where.
        out: folder of the table.
        tried: the candidates; one alone is taken untried.
        training: whose rates.
        budget: after which no epoch begins.

    Raises:
        AllDivergedError: no candidate that does not diverge.
        BudgetSpentError: the budget is spent.
        ConfigError: no images held out.
    """
    if len(tried) == 1:
        return Choice(tried[0], (), "as configured, not chosen")
    if not config.hold_out:
        raise ConfigError("hold_out must be above 0: it is what the rates are chosen on")
    outcomes, ranks = [], {}
    for one in tried:
        try:
            accuracy, loss = _trial(one, training, config, engine, out, budget or Budget(None, engine))
        except DivergedError as error:
            outcomes.append(Tried(one, None, str(error)))
        else:
            outcomes.append(Tried(one, accuracy))
            ranks[one] = -accuracy, loss
    if not ranks:
        failures = "; ".join(f"{one.schedule.name}: {one.failure}" for one in outcomes)
        raise AllDivergedError(f"every candidate for the rates of {training.title} diverged: {failures}")
    how = (
        f"after {config.epochs} epochs, one cut that holds out {100 * config.hold_out:g}% of the training images, "
        "in percent"
    )
    return Choice(min(ranks, key=lambda one: ranks[one]), tuple(outcomes), how)


def _trial(
    one: FineTuning, training: Training, config: TrainingConfig, engine: Fabric, out: Path, budget: Budget
) -> tuple[float, float]:
    """Train with a candidate's rates; return accuracy and loss on the images held out, if it has not diverged."""
    own = one.applied(replace(training.applied(config), select="last", seed=0))
    rates = f"lr-{one.lr:g}-x{one.classifier_ratio:g}-{'frozen' if one.freeze_norm else 'trained'}"
    budget.check()
    folder = out / "choice" / f"{training.name}-{rates}"
    trained = train(own, folder, engine, resume=True, data_root=out, on_epoch=budget.check_epoch)
    last, guess = trained.history[-1], math.log(len(trained.classes))
    loss, accuracy, held_out_loss = (last[name] for name in ("train_loss", "held_out_top1", "held_out_loss"))
    assert loss is not None
    assert accuracy is not None
    assert held_out_loss is not None
    if loss >= 0.95 * guess:
        raise DivergedError(f"the loss is {loss:.4g} in the last epoch, a guess has {guess:.4g}")
    return accuracy, held_out_loss


def fine_tuned(
    config: TrainingConfig,
    engine: Fabric,
    out: Path,
    seeds: Sequence[int],
    trainings: Sequence[Training],
    choose: Callable[[Training], Choice[FineTuning]],
    *,
    budget: Budget | None = None,
    failures: MutableMapping[Training, str] | None = None,
) -> Iterator[Observed]:
    """Train on all training images with every seed, each into a folder of its own (``out/gap-0``), or go on there.

    All trainings come with the first seed before any comes with the second.

    Args:
        config: what all trainings share.
        engine: where.
        out: folder of the table.
        seeds: one run of each training for each.
        trainings: in this order.
        choose: gives a training its rates; called before its first run.
        budget: after which no epoch begins.
        failures: takes why a training came to nothing, the others going on; by default that is raised.

    Raises:
        BudgetSpentError: the budget is spent.
    """
    budget = budget or Budget(None, engine)
    failures = {} if failures is None else failures
    testing = read_part(config.data, "test", out=out, images=config.images)
    kept = Kept(out / "kept" / "observed", {})
    for seed in seeds:
        for training in trainings:
            if training in failures:
                continue
            budget.check()
            try:
                # The last epoch is judged: nothing is left to choose on images held out.
                chosen = choose(training).schedule.applied(training.applied(config))
                own = replace(chosen, seed=seed, hold_out=0, select="last")
                folder = out / f"{training.name}-{seed}"
                trained = train(own, folder, engine, resume=True, data_root=out, on_epoch=budget.check_epoch)
            except (AllDivergedError, DivergedError) as error:
                failures[training] = str(error)
                continue
            yield _observed(trained, training, testing, engine, kept, usable_workers(config.workers))


def _observed(
    trained: Trained, training: Training, testing: Split, engine: Fabric, kept: Kept, workers: int
) -> Observed:
    """Run a trained network over the test images, or take what it said of them before."""

    def said() -> dict[str, Tensor]:
        extractor = MethodExtractor(trained.model, trained.method)
        name = str(trained.checkpoint)
        network = Network(name, trained.model, extractor, trained.inputs, trained.classes, engine.device)
        found = observe(network, training, testing, workers=workers)
        return {"logits": found.logits, "plain": found.maps[False], "clamped": found.maps[True]}

    weights = hashlib.sha256(trained.checkpoint.read_bytes())
    weights.update(f"{images_of(testing)} {trained.inputs}".encode())
    found = kept.tensors(f"{training.name}-{weights.hexdigest()[:16]}", said)
    return Observed(training, found["logits"], {False: found["plain"], True: found["clamped"]})
