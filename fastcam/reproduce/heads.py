"""Linear classifiers on features that do not change: how they are trained, and how that is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fastcam.reproduce.choice import Candidate, Choice, Tried
from fastcam.training.batches import mixed_seed
from fastcam.training.splits import stratified

__all__ = ["SCHEDULES", "Schedule", "choose_schedule", "fit_head"]


@dataclass(frozen=True)
class Schedule(Candidate):
    """How a classifier is trained: SGD with Nesterov's momentum, the rate divided by 10 after two thirds.

    Attributes:
        lr: learning rate.
        epochs: how often the images are seen.
        batch_size: images a step.
        momentum: of Nesterov's method.
        weight_decay: on the weights and the bias.
    """

    lr: float
    epochs: int
    batch_size: int = 32
    momentum: float = 0.9
    weight_decay: float = 1e-4

    @property
    def name(self) -> str:
        """Of the candidate, in a list."""
        return f"lr {self.lr:g} x {self.epochs}"


SCHEDULES = tuple(Schedule(lr, epochs) for lr, epochs in product((0.003, 0.01, 0.03, 0.1, 0.3), (25, 50, 100)))
"""What the schedule of classifiers on cached features is chosen from."""


def fit_head(pooled: Tensor, labels: Tensor, classes: int, schedule: Schedule, *, seed: int) -> nn.Linear:
    """Train a linear classifier.

    Args:
        pooled: (N, C) float32.
        labels: (N,) int64.
        classes: K.
        schedule: how.
        seed: settles the first weights and the order.

    Returns:
        The layer, C to K.

    Example:
        >>> pooled = torch.eye(4).repeat(8, 1)
        >>> labels = torch.arange(4).repeat(8)
        >>> head = fit_head(pooled, labels, 4, Schedule(lr=1.0, epochs=20), seed=0)
        >>> bool((head(pooled).argmax(1) == labels).all())
        True
    """
    draw = torch.Generator().manual_seed(mixed_seed(seed, 2))
    head = nn.Linear(pooled.shape[1], classes)
    nn.init.normal_(head.weight, std=0.01, generator=draw)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.SGD(
        head.parameters(),
        lr=schedule.lr,
        momentum=schedule.momentum,
        nesterov=schedule.momentum > 0,
        weight_decay=schedule.weight_decay,
    )
    for epoch in range(schedule.epochs):
        if epoch == -(-schedule.epochs * 2 // 3):
            optimizer.param_groups[0]["lr"] *= 0.1
        for batch in torch.randperm(len(pooled), generator=draw).split(schedule.batch_size):
            optimizer.zero_grad()
            F.cross_entropy(head(pooled[batch]), labels[batch]).backward()
            optimizer.step()
    return head.requires_grad_(False)


def choose_schedule(
    pooled: Tensor, labels: Tensor, classes: int, tried: Sequence[Schedule], *, cuts: int = 5, share: float = 0.2
) -> Choice[Schedule]:
    """Choose by the classification accuracy on training images held out; boxes have no part in it.

    Of equally accurate ones the one with fewer epochs is better, then that with the lower rate.

    Args:
        pooled: (N, C) float32, of the training images, pooled as the baseline does.
        labels: (N,) int64.
        classes: K.
        tried: the candidates.
        cuts: stratified cuts of the images over which the accuracy is averaged.
        share: of the images that each holds out.
    """
    accuracies = dict.fromkeys(tried, 0.0)
    for seed in range(cuts):
        kept, held = stratified(labels.tolist(), share, seed=seed)
        for schedule in tried:
            head = fit_head(pooled[kept], labels[kept], classes, schedule, seed=seed)
            right = head(pooled[held]).argmax(dim=1) == labels[held]
            accuracies[schedule] += right.double().mean().item() / cuts
    best = min(tried, key=lambda one: (-round(accuracies[one], 9), one.epochs, one.lr))
    how = f"mean over {cuts} cuts that hold out {100 * share:g}% of the training images, in percent; lr x epochs"
    return Choice(best, tuple(Tried(one, accuracies[one]) for one in tried), how)
