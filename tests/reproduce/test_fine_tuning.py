import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from fastcam.reproduce.choice import Choice
from fastcam.reproduce.fine_tuning import FINE_TUNINGS, FineTuning, choose_fine_tuning, fine_tuned
from fastcam.reproduce.table import Training
from fastcam.training import ConfigError, TrainingConfig, read_checkpoint

GAP, TAP = Training.of(pooling="gap"), Training.of(pooling="tap")
USELESS, GOOD, DIVERGING = FineTuning(0.0, 1.0, False), FineTuning(0.01, 1.0, False), FineTuning(1e9, 1.0, True)


def test_what_diverges_has_lost(learning, engine, tmp_path):
    choice = choose_fine_tuning(learning, engine, tmp_path, [USELESS, DIVERGING, GOOD], GAP)
    useless, diverged, good = choice.tried
    assert choice.schedule == GOOD
    assert useless.accuracy is None
    assert useless.failure.endswith("in the last epoch, a guess has 0.6931")
    assert diverged.accuracy is None
    assert diverged.failure.startswith("the loss is ")
    # What was chosen by is what the network's own training says of the images held out.
    folder = tmp_path / "choice" / "gap-lr-0.01-x1-trained"
    content = read_checkpoint(folder / "last.pt")
    assert content["history"][-1]["held_out_top1"] == good.accuracy
    assert content["config"]["pooling"] == "gap"
    assert content["config"]["hold_out"] == 0.25
    told = json.loads(json.dumps(choice.to_json(), allow_nan=False))
    assert told["taken"] == GOOD.name
    assert [one["accuracy"] for one in told["tried"]] == [None, None, good.accuracy]


@pytest.fixture
def outcomes(monkeypatch):
    """What trainings come to, by pooling and rate: training loss, accuracy and loss on images held out."""
    table = {}

    def trained(config, *_, **__):
        names = ("train_loss", "held_out_top1", "held_out_loss")
        history = [dict(zip(names, table.get((config.pooling, config.lr), (0.1, 0.5, 1.0)), strict=True))]
        return SimpleNamespace(history=history, classes=("auk", "wren"))

    monkeypatch.setattr("fastcam.reproduce.fine_tuning.train", trained)
    return table


TRIED = [FineTuning(lr, 1.0, False) for lr in (0.1, 0.2, 0.3, 0.4)]


def test_of_equally_accurate_ones_the_lower_loss(outcomes, config, engine, tmp_path):
    for lr, accuracy, loss in ((0.1, 0.8, 0.7), (0.2, 0.9, 0.6), (0.3, 0.9, 0.5), (0.4, 0.7, 0.1)):
        outcomes["gap", lr] = 0.1, accuracy, loss
    assert choose_fine_tuning(config, engine, tmp_path, TRIED, GAP).schedule == TRIED[2]


def test_each_pooling_has_rates_of_its_own(outcomes, config, engine, tmp_path):
    guess = math.log(2)
    outcomes["gap", 0.1] = guess, 0.9, 0.1  # right by luck: it has learnt nothing
    outcomes["gap", 0.2] = 0.1, 0.8, 0.1
    outcomes["tap", 0.2] = 0.96 * guess, 0.9, guess
    outcomes["tap", 0.4] = 0.94 * guess, 0.7, 0.1
    of_gap, of_tap = (choose_fine_tuning(config, engine, tmp_path, TRIED, one) for one in (GAP, TAP))
    assert of_gap.schedule == TRIED[1]
    assert [one.accuracy for one in of_gap.tried] == [None, 0.8, 0.5, 0.5]
    assert of_gap.tried[0].failure == "the loss is 0.6931 in the last epoch, a guess has 0.6931"
    # What diverges with TAP is lost for TAP alone.
    assert of_tap.schedule == TRIED[3]
    assert [one.accuracy for one in of_tap.tried] == [0.5, None, 0.5, 0.7]


def test_a_choice_that_was_cut_off_goes_on(learning, engine, tmp_path):
    choose_fine_tuning(learning, engine, tmp_path, [GOOD, DIVERGING], GAP)
    first = tmp_path / "choice" / "gap-lr-0.01-x1-trained" / "last.pt"
    written = first.stat().st_mtime_ns
    choose_fine_tuning(learning, engine, tmp_path, [GOOD, USELESS], GAP)
    assert first.stat().st_mtime_ns == written


def test_nothing_to_choose_from(config, engine, tmp_path):
    assert choose_fine_tuning(replace(config, hold_out=0), engine, tmp_path, [GOOD], GAP).schedule == GOOD
    assert list(tmp_path.iterdir()) == [tmp_path / "birds"]
    with pytest.raises(ConfigError, match="hold_out must be above 0"):
        choose_fine_tuning(replace(config, hold_out=0), engine, tmp_path, [GOOD, USELESS], GAP)
    with pytest.raises(ConfigError, match="every candidate for the rates of TAP diverged: lr 1e"):
        choose_fine_tuning(config, engine, tmp_path, [DIVERGING, replace(DIVERGING, lr=2e9)], TAP)


def test_all_trainings_learn_from_all_images_at_their_own_rates(config, engine, tmp_path):
    settings = replace(config, hold_out=0.25, select="best")
    choices = {GAP: Choice(GOOD, (), ""), TAP: Choice(replace(GOOD, lr=0.02), (), "")}
    networks = list(fine_tuned(settings, engine, tmp_path, [3], [GAP, TAP], choices.__getitem__))
    assert [network.training for network in networks] == [GAP, TAP]
    gap, tap = (read_checkpoint(tmp_path / name / "last.pt")["config"] for name in ("gap-3", "tap-3"))
    assert {name for name in gap if gap[name] != tap[name]} == {"pooling", "lr"}
    assert (gap["lr"], tap["lr"], gap["hold_out"], gap["seed"]) == (0.01, 0.02, 0, 3)
    for network in networks:
        assert len(network.maps[False]) == len(network.maps[True]) == len(network.logits) == 12


def test_candidates_are_told_apart():
    assert len({one.name for one in FINE_TUNINGS}) == len(FINE_TUNINGS)
    assert FineTuning.of(TrainingConfig(data="x", lr=0.5)) == FineTuning(0.5, 10.0, False)
