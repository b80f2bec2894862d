import pytest
import torch

from fastcam.training import ConfigError, TrainingConfig, read_config


def test_toml_and_yaml_say_the_same(tmp_path):
    (tmp_path / "a.toml").write_text('data = "birds"\nlr = 1e-3\nflip = false\n[method_options]\npatch = 16\n')
    (tmp_path / "a.yaml").write_text("data: birds\nlr: 1e-3\nflip: false\nmethod_options: {patch: 16}\n")
    configs = [TrainingConfig.from_mapping(read_config(tmp_path / name)) for name in ("a.toml", "a.yaml")]
    assert configs[0] == configs[1]
    assert (configs[0].lr, configs[0].flip, configs[0].method_options) == (0.001, False, {"patch": 16})


def test_there_and_back():
    config = TrainingConfig(data="birds", lr=0.1, tap_threshold=0)
    assert TrainingConfig.from_mapping(config.to_mapping()) == config


def test_step_schedule():
    config = TrainingConfig(data="birds", lr=1.0, decay_every=3, decay_factor=0.5)
    assert [config.learning_rate(epoch) for epoch in range(7)] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]
    assert TrainingConfig(data="birds", lr=1.0, decay_every=0).learning_rate(99) == 1
    # The rate of an epoch is that of all of its steps.
    assert {config.learning_rate(3, step, 7) for step in range(7)} == {0.5}


def test_cosine_schedule_is_that_of_pytorch():
    config = TrainingConfig(data="birds", lr=0.3, epochs=5, schedule="cosine")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5 * 4)
    for number in range(5 * 4):
        assert config.learning_rate(*divmod(number, 4), 4) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("schedule", ["steps", "cosine"])
def test_warm_up_rises_by_the_same_amount_every_step(schedule):
    config = TrainingConfig(data="birds", lr=1.2, epochs=9, schedule=schedule, warmup=2)
    rates = [config.learning_rate(epoch, step, 3) for epoch in range(3) for step in range(3)]
    assert rates[:7] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.2])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data": "x", "learning_rate": 1}, "unknown setting 'learning_rate'"),
        ({"data": "x", "epoch": 1}, "unknown setting 'epoch'; did you mean 'epochs'"),
        ({"data": "x", "schedule": "linear"}, "schedule must be one of 'steps', 'cosine', got 'linear'"),
        ({"data": "x", "average": 1.0}, r"average must lie in \[0, 1\), got 1.0"),
        ({"data": "x", "epochs": 3, "warmup": 3}, "warmup must be below epochs=3, got 3"),
        ({}, "data is missing"),
        ({"data": 3}, "data must be a text, got 3"),
        ({"data": "x", "epochs": 2.5}, "epochs must be a whole number, got 2.5"),
        ({"data": "x", "epochs": True}, "epochs must be a whole number, got True"),
        ({"data": "x", "epochs": 0}, "epochs must be at least 1, got 0"),
        ({"data": "x", "lr": "fast"}, "lr must be a number, got 'fast'"),
        ({"data": "x", "lr": float("nan")}, "lr must be at least 0, got nan"),
        ({"data": "x", "pooling": "max"}, "pooling must be one of 'gap', 'tap', 'gmp', 'lse', got 'max'"),
        ({"data": "x", "flip": 1}, "flip must be true or false, got 1"),
        ({"data": "x", "momentum": 1}, r"momentum must lie in \[0, 1\)"),
        ({"data": "x", "resize": 100}, "resize must be at least crop=224, got 100"),
        ({"data": "x", "select": "best", "hold_out": 0}, "select='best' needs images to judge by"),
    ],
)
def test_wrong_settings(values, message):
    with pytest.raises(ConfigError, match=message):
        TrainingConfig.from_mapping(values)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.ini", "", "expected a file that ends in .toml, .yaml, .yml"),
        ("a.toml", "data = ", "a.toml: "),
        ("a.yaml", "data: [", "a.yaml: "),
        ("a.yaml", "- data", "expected settings, a name and a value each"),
    ],
)
def test_broken_files(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_config(tmp_path / name)


def test_no_such_file(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_config(tmp_path / "none.toml")
