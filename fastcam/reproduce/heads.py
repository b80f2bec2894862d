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
from fastcam.training.config import ConfigError
from fastcam.training.splits import stratified

__all__ = ["SCHEDULES", "Schedule", "Search", "choose_schedule", "fit_head", "held_out_accuracies", "search_for"]


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
"""What the schedule of classifiers on cached features is chosen from where images are few."""

_OF_MANY_IMAGES = tuple(
    Schedule(lr, epochs, batch_size=128) for lr, epochs in product((0.003, 0.01, 0.03, 0.1, 0.3), (5, 20))
)
_FEW_IMAGES = 5000


@dataclass(frozen=True)
class Search:
    """What a schedule is chosen from, and how.

    Attributes:
        schedules: the candidates.
        cuts: stratified cuts of the images over which the accuracy is averaged.
    """

    schedules: tuple[Schedule, ...]
    cuts: int


def search_for(images: int) -> Search:
    """Return the search for so many training images.

    Up to 5,000 it is :data:`SCHEDULES` over five cuts. More images are seen less often, in larger batches, and one cut
    tells enough.

    Example:
        >>> search_for(300).cuts, search_for(40_000).cuts
        (5, 1)
    """
    return Search(SCHEDULES, 5) if images <= _FEW_IMAGES else Search(_OF_MANY_IMAGES, 1)


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


def held_out_accuracies(
    pooled: Tensor, labels: Tensor, classes: int, search: Search, *, share: float = 0.2
) -> list[float | None]:
    """Return the accuracy of each of the search's schedules on training images held out; None for one that diverged.

    A candidate diverges where its weights are not finite with any cut.

    Args:
        pooled: (N, C) float32, of the training images, pooled as the classifier will find them.
        labels: (N,) int64.
        classes: K.
        search: the candidates, and over how many cuts.
        share: of the images that each cut holds out.
    """
    accuracies: dict[Schedule, float | None] = dict.fromkeys(search.schedules, 0.0)
    for seed in range(search.cuts):
        kept, held = stratified(labels.tolist(), share, seed=seed)
        for schedule, sum_so_far in accuracies.items():
            if sum_so_far is None:
                continue
            head = fit_head(pooled[kept], labels[kept], classes, schedule, seed=seed)
            right = (head(pooled[held]).argmax(dim=1) == labels[held]).double().mean().item()
            finite = bool(head.weight.isfinite().all())
            accuracies[schedule] = sum_so_far + right / search.cuts if finite else None
    return [accuracies[schedule] for schedule in search.schedules]


def choose_schedule(
    search: Search, accuracies: Sequence[float | None], *, share: float = 0.2, what: str = "schedule"
) -> Choice[Schedule]:
    """Choose by the classification accuracy on training images held out; boxes have no part in it.

    Of equally accurate ones the one with fewer epochs is better, then that with the lower rate.

    Args:
        search: the candidates.
        accuracies: of each, as :func:`held_out_accuracies` returns them.
        share: as there.
        what: is chosen, for errors.

    Raises:
        ConfigError: every candidate diverged.

    Example:
        >>> search = Search((Schedule(0.1, 20), Schedule(0.01, 20), Schedule(10.0, 20)), cuts=1)
        >>> choose_schedule(search, [0.5, 0.6, None]).schedule.name
        'lr 0.01 x 20'
    """
    tried = tuple(Tried(one, accuracy) for one, accuracy in zip(search.schedules, accuracies, strict=True))
    able = {one.schedule: one.accuracy for one in tried if one.accuracy is not None}
    if not able:
        names = ", ".join(one.name for one in search.schedules)
        raise ConfigError(f"every candidate for the {what} diverged: {names}")
    best = min(able, key=lambda one: (-round(able[one], 9), one.epochs, one.lr))
    over = f"mean over {search.cuts} cuts that hold out" if search.cuts > 1 else "one cut that holds out"
    how = f"{over} {100 * share:g}% of the training images, in percent; lr x epochs"
    return Choice(best, tried, how)
