"""What a training leaves on the disk, whatever ends it, and that it goes on from there to the same result."""

import csv
import os
import shutil

import pytest
import torch

from fastcam.lock import LOCK
from fastcam.training import CheckpointError, TrainingError, read_checkpoint, train
from fastcam.training.journal import TensorBoard


class Killed(BaseException):
    """Stands for a kill: nothing but the code under test catches it."""


def state(folder):
    """What of a training does not depend on the clock."""
    found = {}
    for name in ("last.pt", "best.pt"):
        content = read_checkpoint(folder / name)
        history = [{**one, "images_per_second": None} for one in content["history"]]
        found[name] = (content["epoch"], history, content["state_dict"])
    with open(folder / "history.csv", newline="") as file:
        found["history.csv"] = [[row["epoch"], row["train_loss"], row["held_out_top1"]] for row in csv.DictReader(file)]
    return found


def same(one, other):
    return one["history.csv"] == other["history.csv"] and all(
        one[name][:2] == other[name][:2]
        and all(torch.equal(value, other[name][2][key]) for key, value in one[name][2].items())
        for name in ("last.pt", "best.pt")
    )


@pytest.fixture(scope="module")
def settings():
    return {"epochs": 3, "select": "best", "lr": 0.05, "seed": 3}


def kill_at(monkeypatch, step, where):
    """Kill the process at the n-th step of saving: before or behind a file is put in its place."""
    count = 0
    real = {name: getattr(os, name) for name in ("replace", "fsync")}

    def stop(name):
        def call(*arguments):
            nonlocal count
            count += 1
            if count == step and where == "before":
                # A kill leaves the half-written file behind, which an exception would remove.
                raise Killed
            result = real[name](*arguments)
            if count == step:
                raise Killed
            return result

        return call

    for name in real:
        monkeypatch.setattr(os, name, stop(name))
    return lambda: count


@pytest.mark.parametrize("where", ["before", "behind"])
def test_killed_at_every_step_of_saving_it_goes_on_to_the_same_result(
    where, config, engine, tmp_path, monkeypatch, settings
):
    whole = tmp_path / "whole"
    with monkeypatch.context() as patched:
        steps = kill_at(patched, 0, where)
        trained = train(config(**settings), whole, engine)
        total = steps()
    assert total >= 2 * (3 * 2 + 1)
    wanted = state(whole)
    for step in range(1, total + 1):
        out = tmp_path / f"{where}-{step}"
        with monkeypatch.context() as patched:
            kill_at(patched, step, where)
            patched.setattr("pathlib.Path.unlink", lambda *_, **__: None)
            with pytest.raises(Killed):
                train(config(**settings), out, engine)
        resumed = train(config(**settings), out, engine, resume=True)
        assert (resumed.epoch, resumed.checkpoint.name) == (trained.epoch, "best.pt"), step
        assert same(state(out), wanted), step
        assert sorted(path.name for path in out.iterdir()) == ["best.pt", "history.csv", "last.pt"], step
        shutil.rmtree(out)


def test_a_training_of_one_epoch_goes_on(config, engine, tmp_path):
    train(config(epochs=1, select="best"), tmp_path, engine)
    for name in ("best.pt", "history.csv"):
        (tmp_path / name).unlink()
    assert train(config(epochs=1, select="best"), tmp_path, engine, resume=True).epoch == 1
    assert (tmp_path / "history.csv").read_text().count("\n") == 2


def test_best_weights_that_are_lost_are_not_those_of_another_epoch(config, engine, tmp_path):
    train(config(epochs=3, select="best", lr=0.05, seed=3), tmp_path, engine)
    history = read_checkpoint(tmp_path / "last.pt")["history"]
    accuracies = [entry["held_out_top1"] for entry in history]
    best = accuracies.index(max(accuracies)) + 1
    if best == 3:
        pytest.skip("the last epoch is the best one")
    shutil.copy(tmp_path / "last.pt", tmp_path / "best.pt")
    with pytest.raises(CheckpointError, match=rf"best.pt is not that of epoch {best}"):
        train(config(epochs=3, select="best", lr=0.05, seed=3), tmp_path, engine, resume=True)


def test_a_full_disk_between_the_two_checkpoints(config, engine, tmp_path, monkeypatch, settings):
    train(config(**settings), tmp_path / "whole", engine)
    real, count = os.replace, 0

    def full(source, target):
        nonlocal count
        if os.fspath(target).endswith("best.pt"):
            count += 1
            raise OSError(28, "No space left on device")
        return real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(TrainingError, match=r"epoch 1 could not be saved .* no space left .* resumes"):
            train(config(**settings), tmp_path / "cut", engine)
    assert count == 1
    train(config(**settings), tmp_path / "cut", engine, resume=True)
    assert same(state(tmp_path / "cut"), state(tmp_path / "whole"))


def test_every_epoch_is_in_tensorboard_once(config, engine, tmp_path):
    pytest.importorskip("tensorboardX")
    train(config(epochs=8, batch_size=16), tmp_path, engine, tensorboard=True)
    train(config(epochs=9, batch_size=16), tmp_path, engine, resume=True, tensorboard=True)
    assert [step for step, _ in scalars(tmp_path / "tensorboard", "train_loss")] == list(range(1, 10))
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2
    assert not (tmp_path / LOCK).exists()


def test_tensorboard_reads_the_parts_in_order_though_the_clock_was_set_back(tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    # TensorBoard's own order is that of the names; each part's first event discards the steps from 1 on before it.
    written = [{"epoch": 1, "lr": 0.5}]
    for clock, value in ((2_000_000_000, 3.0), (1_000_000_000, 2.0), (1_000_000_000, 1.0), (2_000_000_000, 0.0)):
        monkeypatch.setattr("time.time", lambda clock=clock: clock)
        board = TensorBoard(tmp_path)
        board.write([{**written[0], "train_loss": value}])
        board.close()
        last = sorted(tmp_path.iterdir())[-1]
        assert scalars(tmp_path, "train_loss", order=lambda path: path.name) == [(1, value)]
        assert last.stat().st_size > 0
    assert len(list(tmp_path.iterdir())) == 4


def test_a_full_disk_below_tensorboard_is_said_and_ends(config, engine, tmp_path, monkeypatch):
    record_writer = pytest.importorskip("tensorboardX.record_writer")
    real = record_writer.RecordWriter.flush

    def full(self):
        if (tmp_path / "history.csv").read_text().count("\n") == 3:
            raise OSError(28, "No space left on device")
        real(self)

    monkeypatch.setattr(record_writer.RecordWriter, "flush", full)
    with pytest.raises(TrainingError, match=r"epoch 2 could not be saved .* no space left .* resumes"):
        train(config(epochs=3, batch_size=16), tmp_path, engine, tensorboard=True)
    assert read_checkpoint(tmp_path / "last.pt")["epoch"] == 2


def scalars(folder, name, order=lambda path: path.stat().st_mtime_ns):
    """Read what TensorBoard would show: of every step the value written last, and nothing that was purged."""
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    values = {}
    for path in sorted(folder.iterdir(), key=order):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            if event.session_log.status == SessionLog.START:
                values = {step: value for step, value in values.items() if step < event.step}
            for one in event.summary.value:
                if one.tag.endswith(name):
                    values[event.step] = one.simple_value
    return sorted(values.items())
