import pytest
import torch

from fastcam.reproduce.heads import (
    SCHEDULES,
    Schedule,
    Search,
    choose_schedule,
    fit_head,
    held_out_accuracies,
    search_for,
)
from fastcam.training import ConfigError


def toy(n=60):
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 3
    return torch.randn(n, 8, generator=draw) + 3 * torch.nn.functional.one_hot(labels, 8), labels


def chosen(pooled, labels, search, **options):
    return choose_schedule(search, held_out_accuracies(pooled, labels, 3, search), **options)


def test_a_seed_settles_it():
    pooled, labels = toy()
    schedule = Schedule(lr=0.01, epochs=3)
    one, again, other = (fit_head(pooled, labels, 3, schedule, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.weight, again.weight)
    assert not torch.equal(one.weight, other.weight)


def test_the_choice_is_the_most_accurate_on_images_held_out():
    pooled, labels = toy()
    useless, good = Schedule(lr=0.0, epochs=5), Schedule(lr=0.1, epochs=5)
    choice = chosen(pooled, labels, Search((useless, good), 5))
    assert choice.schedule == good
    assert [one.schedule for one in choice.tried] == [useless, good]
    assert choice.tried[1].accuracy > 0.8
    # The images held out are not trained on: labels without sense cannot be learnt.
    noise = torch.randint(0, 3, (60,), generator=torch.Generator().manual_seed(1))
    (only,) = chosen(pooled, noise, Search((Schedule(lr=0.5, epochs=100),), 5)).tried
    assert only.accuracy < 0.6


def test_of_equals_the_shortest():
    pooled, labels = toy()
    tried = Schedule(lr=0.0, epochs=9), Schedule(lr=0.0, epochs=2)
    assert chosen(pooled, labels, Search(tried, 5)).schedule == tried[1]


def test_what_diverges_is_lost_alone():
    pooled, labels = toy()
    diverging, good = Schedule(lr=1e38, epochs=5), Schedule(lr=0.1, epochs=5)
    choice = chosen(pooled, labels, Search((diverging, good), 2))
    assert choice.schedule == good
    assert choice.tried[0].accuracy is None
    with pytest.raises(ConfigError, match="every candidate for the schedule of TAP diverged: lr 1e"):
        chosen(pooled, labels, Search((diverging,), 1), what="schedule of TAP")


def test_many_images_are_searched_with_less():
    def updates(images):
        return (
            sum(images * one.epochs / one.batch_size for one in search_for(images).schedules) * search_for(images).cuts
        )

    assert search_for(5000).schedules == SCHEDULES
    assert updates(40_000) < updates(5000)
    assert {one.lr for one in search_for(5001).schedules} == {one.lr for one in SCHEDULES}
