"""The training loop: :func:`train`."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from tqdm import tqdm

from fastcam.checkpoint import CheckpointError, read_checkpoint
from fastcam.data import Split
from fastcam.lock import remove_leftovers
from fastcam.training.averaging import averaged
from fastcam.training.batches import Augmentation, Order, Pictures, mixed_seed, picture_loader
from fastcam.training.build import build
from fastcam.training.checkpoint import read_matching, state_errors
from fastcam.training.config import ConfigError, TrainingConfig
from fastcam.training.data import read_part
from fastcam.training.engine import Fabric, first_of_machine
from fastcam.training.errors import DivergedError, reading_errors
from fastcam.training.files import TrainingFiles
from fastcam.training.splits import stratified
from fastcam.training.trained import Trained
from fastcam.training.trainee import Trainee, load_weights, make_optimizer

__all__ = ["train"]

_CHECK_EVERY = 20  # steps between two looks at the loss on a GPU, each of which waits for it


def train(
    config: TrainingConfig,
    out: Path,
    engine: Fabric,
    *,
    resume: bool = False,
    tensorboard: bool = False,
    data_root: Path | None = None,
    on_epoch: Callable[[Mapping[str, float | None]], object] = lambda _entry: None,
) -> Trained:
    """Train a network; after every epoch the checkpoint and the history in ``out`` are replaced.

    A training that was cut off loses the epoch it was in. One that goes on from its checkpoint ends, on a CPU, with
    the same weights bit for bit.

    Args:
        config: what and how.
        out: folder for ``last.pt``, ``best.pt`` (with ``select="best"``), ``history.csv`` and ``tensorboard/``.
        engine: where; see :func:`fastcam.training.engine.start_engine`.
        resume: go on from ``out/last.pt``, if it is there.
        tensorboard: write ``tensorboard/`` too.
        data_root: where the synthetic benchmark is, or is written; None: ``out``.
        on_epoch: called in the first process when an epoch is saved, with its entry of the history.

    Returns:
        :class:`Trained`.

    Raises:
        ConfigError: a choice that cannot be met.
        CheckpointError: ``out/last.pt`` is there without ``resume``, or is of another training.
        DivergedError: the loss is no longer a number.
        TrainingError: a file cannot be written.
        DataError: the data set is malformed.
    """
    with first_of_machine(engine):
        out.mkdir(parents=True, exist_ok=True)
        if engine.is_global_zero:
            remove_leftovers(out)
        split = read_part(config.data, "train", out=data_root or out, images=config.images, truth=False)
    torch.manual_seed(mixed_seed(config.seed, 0))
    model, method = build(config, len(split.classes), classes=split.classes)
    run = _Run(config, out, engine, split, Trainee(model, method, freeze_norm=config.freeze_norm), tensorboard)
    last = run.files.last
    if last.exists():
        if not resume:
            raise CheckpointError(f"{last} is there already: resume it, or train into another folder")
        run.restore()
    with contextlib.closing(run.files):
        while run.epoch < config.epochs:
            run.one_epoch()
            if engine.is_global_zero:
                on_epoch(run.history[-1])
        return run.finish()


class _Run:
    """The state of one training."""

    def __init__(
        self, config: TrainingConfig, out: Path, engine: Fabric, split: Split, trainee: Trainee, tensorboard: bool
    ) -> None:
        self.config, self.engine, self.split, self.trainee = config, engine, split, trainee
        self.files = TrainingFiles(out, config.select, tensorboard=tensorboard and engine.is_global_zero)
        self.epoch = 0
        self.history: list[dict[str, float | None]] = []
        kept, held = stratified([record.label for record in split], config.hold_out, seed=config.seed)
        self.inputs = trainee.model.inputs.replace(resize=(config.crop, config.crop), crop=None)
        whole = self.inputs.replace(resize=(config.resize, config.resize))
        records = [split[number] for number in kept]
        # Each process looks at its share of the images held out.
        judged = [split[number] for number in held[engine.global_rank :: engine.world_size]]
        try:
            self.order = Order(
                len(records),
                config.batch_size,
                parts=config.accumulate,
                rank=engine.global_rank,
                processes=engine.world_size,
                seed=config.seed,
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error
        loader = partial(picture_loader, workers=config.workers, device=engine.device)
        keep = config.keep_pictures
        self.loader = loader(Pictures(records, whole, keep=keep), batch_sampler=self.order)
        self.held_out = loader(Pictures(judged, self.inputs, keep=keep), batch_size=config.batch_size)
        self.any_held_out = bool(held)
        self.augment = Augmentation(config.crop, config.flip, self.inputs, googlenet_resize=config.googlenet_resize)
        self.optimizer = make_optimizer(trainee, config)
        # What is judged and kept: what is trained, or its moving average.
        self.average = averaged(trainee, config.average, engine.device) if config.average else None
        self.kept = trainee if self.average is None else cast("Trainee", self.average.module)
        self.wrapped, self.stepper = engine.setup(trainee, self.optimizer)

    def one_epoch(self) -> None:
        """Train for an epoch, look at the images held out, and save."""
        started = time.perf_counter()
        # All that the epoch draws follows from this: a resumed epoch draws the same.
        torch.manual_seed(mixed_seed(self.config.seed, 1, self.epoch, self.engine.global_rank))
        self.order.epoch = self.epoch
        sums = self._train()
        loss, right, count = self._summed(sums)
        # After the sums have come: a GPU works on the last steps until then.
        speed = count / (time.perf_counter() - started)
        self._check(loss, self.order.steps)
        entry = {"epoch": self.epoch + 1, "lr": self._rate(0), "train_loss": loss / count, "train_top1": right / count}
        self.history.append({**entry, **self._judge(), "images_per_second": speed})
        self.epoch += 1
        self._save()

    def restore(self) -> None:
        """Go on from the last checkpoint."""
        content = read_matching(self.files.last, self.config, self.split.classes)
        if self.engine.is_global_zero:
            self.files.repair(content)
        self.engine.barrier()
        with state_errors(self.files.last):
            load_weights(self.kept, content["state_dict"], content["method_state"])
            if self.average is not None:
                latest = content["latest"]
                load_weights(self.trainee, latest["model"], latest["method"])
                self.average.n_averaged.copy_(latest["updates"])
            self.optimizer.load_state_dict(content["optimizer"])
            if content["precision"]:
                self.engine.strategy.precision.load_state_dict(content["precision"])
        self.epoch, self.history = content["epoch"], content["history"]

    def finish(self) -> Trained:
        """Return the model with the weights of the epoch chosen."""
        content = read_checkpoint(self.files.chosen)
        trainee = self.trainee
        load_weights(trainee, content["state_dict"], content["method_state"])
        trainee.eval()
        chosen = content["epoch"], self.history, self.inputs, self.split.classes, self.files.chosen
        return Trained(trainee.model, trainee.method, *chosen)

    def _train(self) -> Tensor:
        """Take every step of the epoch; return the sums of loss and hits, and the number of images."""
        config, engine = self.config, self.engine
        self.trainee.train()
        sums = torch.zeros(3, dtype=torch.float64, device=engine.device)
        progress = tqdm(
            total=self.order.steps,
            desc=f"epoch {self.epoch + 1}/{config.epochs}",
            unit="step",
            # None: on a terminal alone.
            disable=None if engine.is_global_zero else True,
            file=sys.stderr,
            leave=False,
        )
        with progress, reading_errors():
            for number, (pixels, labels) in enumerate(self.loader):
                step = number // config.accumulate + 1
                rate = self._rate(step - 1)
                images = self.augment(self._moved(pixels), self.order, number)
                labels = self._moved(labels)
                last_part = (number + 1) % config.accumulate == 0
                with nullcontext() if last_part else engine.no_backward_sync(self.wrapped):
                    loss, logits = self.wrapped(images, labels)
                    engine.backward(loss / config.accumulate)
                right = (logits.detach().argmax(dim=1) == labels).sum()
                sums += torch.stack((loss.detach() * len(labels), right, right.new_tensor(len(labels)))).double()
                if engine.device.type == "cpu" or step % _CHECK_EVERY == 0:
                    # The loss of all processes: they stop at the same step, none of them waiting for another.
                    self._check(self._summed(sums)[0], step)
                if last_part:
                    for group in self.optimizer.param_groups:
                        group["lr"] = rate * group["ratio"]
                    self.stepper.step()
                    self.stepper.zero_grad()
                    if self.average is not None:
                        self.average.update_parameters(self.trainee)
                    progress.update()
                    if engine.device.type == "cpu" or step % _CHECK_EVERY == 0:
                        progress.set_postfix(loss=f"{sums[0].item() / sums[2].item():.3f}", lr=f"{rate:g}")
        return sums

    def _judge(self) -> dict[str, float | None]:
        """Return loss and accuracy on the images held out, of all processes."""
        if not self.any_held_out:
            return {"held_out_loss": None, "held_out_top1": None}
        self.kept.eval()
        model = self.kept.model
        sums = torch.zeros(3, dtype=torch.float64, device=self.engine.device)
        with torch.no_grad(), reading_errors():
            for pixels, labels in self.held_out:
                labels = self._moved(labels)
                with self.engine.autocast():
                    logits = model(self.inputs.normalized(self._moved(pixels))).float()
                loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
                right = (logits.argmax(dim=1) == labels).sum()
                sums += torch.stack((loss, right, right.new_tensor(len(labels)))).double()
        total, hits, count = self._summed(sums)
        self._check(total, self.order.steps)
        return {"held_out_loss": total / count, "held_out_top1": hits / count}

    def _save(self) -> None:
        content = {
            "state_dict": self.kept.model.state_dict(),
            "method_state": self.kept.method.state_dict(),
            "latest": self._latest(),
            "optimizer": self.optimizer.state_dict(),
            "precision": self.engine.strategy.precision.state_dict(),
            "epoch": self.epoch,
            "history": self.history,
            "config": self.config.to_mapping(),
            "inputs": self.inputs.to_mapping(),
            "classes": list(self.split.classes),
        }
        if self.engine.is_global_zero:
            self.files.save(content)
        self.engine.barrier()

    def _latest(self) -> dict[str, Any]:
        """Return what a training goes on from where that is not what is kept."""
        if self.average is None:
            return {}
        model, method = self.trainee.model.state_dict(), self.trainee.method.state_dict()
        return {"model": model, "method": method, "updates": self.average.n_averaged}

    def _rate(self, step: int) -> float:
        return self.config.learning_rate(self.epoch, step, self.order.steps)

    def _check(self, loss: float, step: int) -> None:
        if math.isfinite(loss):
            return
        kept = f"{self.files.last} holds epoch {self.epoch}" if self.epoch else "no epoch was finished"
        raise DivergedError(
            f"the loss is {loss} in epoch {self.epoch + 1}, step {step} of {self.order.steps}; {kept}. "
            "Try a lower lr or classifier_ratio"
        )

    def _summed(self, sums: Tensor) -> list[float]:
        """Add up what all processes counted."""
        # The engine adds in place.
        total = self.engine.all_reduce(sums.clone(), reduce_op="sum")
        assert isinstance(total, Tensor)
        return total.tolist()

    def _moved(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.engine.device, non_blocking=True)
