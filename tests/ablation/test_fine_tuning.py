import json
from dataclasses import replace

import pytest

from fastcam.ablation.fine_tuning import FINE_TUNINGS, FineTuning, choose_fine_tuning, fine_tuned
from fastcam.training import ConfigError, TrainingConfig, read_checkpoint

USELESS, GOOD, DIVERGING = FineTuning(0.0, 1.0, False), FineTuning(0.03, 1.0, False), FineTuning(1e9, 1.0, True)


@pytest.fixture
def learning(config):
    """A training that learns something in a few steps."""
    options = {"width": 1 / 8}
    return replace(config, model="resnet50", model_options=options, epochs=8, batch_size=8, hold_out=0.25)


def test_the_most_accurate_is_taken_and_one_that_diverges_has_lost(learning, engine, tmp_path):
    choice = choose_fine_tuning(learning, engine, tmp_path, [USELESS, DIVERGING, GOOD])
    useless, diverged, good = choice.tried
    assert good.accuracy > useless.accuracy
    assert choice.schedule == GOOD
    assert diverged.accuracy is None
    assert diverged.failure.startswith("the loss is ")
    # What was chosen by is what the baseline's own training says of the images held out.
    folder = tmp_path / "choice" / "lr-0.03-x1-trained"
    content = read_checkpoint(folder / "last.pt")
    assert content["history"][-1]["held_out_top1"] == good.accuracy
    assert content["config"]["pooling"] == "gap"
    assert content["config"]["hold_out"] == 0.25
    told = json.loads(json.dumps(choice.to_json(), allow_nan=False))
    assert told["taken"] == GOOD.name
    assert [one["accuracy"] for one in told["tried"]] == [useless.accuracy, None, good.accuracy]


def test_of_equally_accurate_ones_the_lower_loss(config, engine, tmp_path, monkeypatch):
    def outcome(accuracy, loss):
        return type("Trained", (), {"history": [{"held_out_top1": accuracy, "held_out_loss": loss}]})

    outcomes = {0.1: outcome(0.8, 0.7), 0.2: outcome(0.9, 0.6), 0.3: outcome(0.9, 0.5), 0.4: outcome(0.7, 0.1)}
    monkeypatch.setattr("fastcam.ablation.fine_tuning.train", lambda config, *_, **__: outcomes[config.lr])
    tried = [FineTuning(lr, 1.0, False) for lr in outcomes]
    assert choose_fine_tuning(config, engine, tmp_path, tried).schedule == tried[2]


def test_a_choice_that_was_cut_off_goes_on(config, engine, tmp_path):
    tried = [FineTuning(0.01, 1.0, False), FineTuning(0.02, 1.0, False)]
    choose_fine_tuning(config, engine, tmp_path, [tried[0], DIVERGING])
    first = tmp_path / "choice" / "lr-0.01-x1-trained" / "last.pt"
    written = first.stat().st_mtime_ns
    choose_fine_tuning(config, engine, tmp_path, tried)
    assert first.stat().st_mtime_ns == written


def test_nothing_to_choose_from(config, engine, tmp_path):
    assert choose_fine_tuning(replace(config, hold_out=0), engine, tmp_path, [GOOD]).schedule == GOOD
    assert list(tmp_path.iterdir()) == [tmp_path / "birds"]
    with pytest.raises(ConfigError, match="hold_out must be above 0"):
        choose_fine_tuning(replace(config, hold_out=0), engine, tmp_path, [GOOD, USELESS])
    with pytest.raises(ConfigError, match="every candidate diverged: lr 1e"):
        choose_fine_tuning(config, engine, tmp_path, [DIVERGING, replace(DIVERGING, lr=2e9)])


def test_both_poolings_learn_alike_from_all_images(config, engine, tmp_path):
    settings = GOOD.applied(replace(config, hold_out=0.25, select="best"))
    networks = list(fine_tuned(settings, engine, tmp_path, [3]))
    assert [network.tap for network in networks] == [False, True]
    gap, tap = (read_checkpoint(tmp_path / name / "last.pt")["config"] for name in ("gap-3", "tap-3"))
    assert {name for name in gap if gap[name] != tap[name]} == {"pooling"}
    assert (gap["lr"], gap["hold_out"], gap["seed"]) == (0.03, 0, 3)
    for network in networks:
        assert network.features.shape[0] == network.logits.shape[0] == 12


def test_candidates_are_told_apart():
    assert len({one.name for one in FINE_TUNINGS}) == len(FINE_TUNINGS)
    assert FineTuning.of(TrainingConfig(data="x", lr=0.5)) == FineTuning(0.5, 10.0, False)
