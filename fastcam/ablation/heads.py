"""Linear classifiers on features that do not change: how they are trained, and how that is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fastcam.training.batches import mixed_seed
from fastcam.training.splits import stratified

__all__ = ["Choice", "Schedule", "choose_schedule", "fit_head"]


@dataclass(frozen=True)
class Schedule:
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


@dataclass(frozen=True)
class Choice:
    """What was tried, and what was chosen.

    Attributes:
        schedule: the best; of equal ones the one with fewer epochs, then the lower rate.
        accuracies: of every schedule tried, the mean accuracy on the images held out.
    """

    schedule: Schedule
    accuracies: dict[Schedule, float]


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
) -> Choice:
    """Choose by the classification accuracy on training images held out; boxes have no part in it.

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
    return Choice(best, accuracies)
