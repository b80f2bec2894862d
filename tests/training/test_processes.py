"""Trainings in processes of their own: several at once, and one that is killed."""

import json
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from several import free_port, tell

from fastcam.data import read_cub
from fastcam.methods import CAM, Outcome
from fastcam.training import DivergedError, final_pass, read_checkpoint, start_engine, train

_COMMAND = [sys.executable, "-c", "from fastcam.cli.main import main; main(prog_name='fastcam')", "train"]

# Forked, because a new process spends many times the test on imports. Python 3.12 warns of threads that may be there.
_FORKED = multiprocessing.get_context("fork")
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def joined(rank, port, config, out, test):
    """One of two processes."""
    tell(rank, 2, port)
    engine = start_engine(device="cpu")
    trained = train(config, out, engine)
    judged = final_pass(trained, test, engine)
    (out / f"judged-{rank}.json").write_text(json.dumps(judged))


def agree(out, whole, history):
    content = read_checkpoint(out / "last.pt")
    for name, value in read_checkpoint(whole / "last.pt")["state_dict"].items():
        torch.testing.assert_close(content["state_dict"][name], value, rtol=1e-4, atol=1e-6)
    # The metrics are of all images: the same counts, and not those of half of them.
    for ours, theirs in zip(content["history"], history, strict=True):
        for name in ("train_top1", "held_out_top1"):
            assert ours[name] == pytest.approx(theirs[name])
        for name in ("train_loss", "held_out_loss"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4)


def test_two_processes_end_with_the_weights_of_one(config, birds, engine, tmp_path):
    # Not with TAP, which takes or leaves a value by a comparison that the last bit of a sum can turn.
    settings = config(model_options={"width": 1 / 8}, epochs=3, pooling="gap")
    trained = train(settings, tmp_path / "one", engine)
    test = read_cub(birds, "test")
    judged = final_pass(trained, test, engine)
    port, out = free_port(), tmp_path / "two"
    processes = [_FORKED.Process(target=joined, args=(rank, port, settings, out, test)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    agree(out, tmp_path / "one", trained.history)
    for rank in range(2):
        assert json.loads((out / f"judged-{rank}.json").read_text()) == pytest.approx(judged)


def test_frozen_normalization_over_processes(config, birds, engine, tmp_path):
    settings = config(model="resnet50", model_options={"width": 1 / 8}, freeze_norm=True, epochs=1, lr=0.001)
    trained = train(settings, tmp_path / "one", engine)
    port, out = free_port(), tmp_path / "two"
    arguments = (port, settings, out, read_cub(birds, "test"))
    processes = [_FORKED.Process(target=joined, args=(rank, *arguments)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    agree(out, tmp_path / "one", trained.history)


def no_number(_method, model, images, _labels):
    logits = model(images)
    return Outcome(logits.sum() * math.nan, logits)


def diverging(rank, port, config, out):
    """One of two processes, of which only the first sees a loss that is no number."""
    tell(rank, 2, port)
    engine = start_engine(device="cpu")
    if rank == 0:
        CAM.forward = no_number
    with pytest.raises(DivergedError, match="the loss is nan in epoch 1, step 1 of"):
        train(config, out, engine)


def test_processes_stop_together_when_one_diverges(config, tmp_path):
    port = free_port()
    processes = [
        _FORKED.Process(target=diverging, args=(rank, port, config(pooling="gap"), tmp_path)) for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0


@pytest.mark.long
def test_the_command_under_torchrun(config, engine, tmp_path):
    settings = config(model_options={"width": 1 / 8}, epochs=3, pooling="gap")
    trained = train(settings, tmp_path / "one", engine)
    several = ["--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port", str(free_port()), "--no-python"]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *several, *_COMMAND, *arguments(settings, tmp_path / "two")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    agree(tmp_path / "two", tmp_path / "one", trained.history)
    # Only the first process speaks.
    assert done.stdout.count("test: Top-1 Cls") == 1


def arguments(config, out):
    """The command line that says the same as a configuration."""
    given = ["--out", str(out), "--device", "cpu"]
    for name, value in config.to_mapping().items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, dict):
            given += [part for key, one in value.items() for part in (flag[:-1], f"{key}={one}")]
        elif isinstance(value, bool):
            given.append(flag if value else f"--no-{name.replace('_', '-')}")
        elif value is not None:
            given += [flag, str(value)]
    return given


def alone(config, out):
    train(config, out, start_engine(device="cpu"))


def test_killed_in_mid_epoch(config, engine, tmp_path):
    # A forked process cannot use its parent's threads; the same number in both gives the same bits.
    out, threads = tmp_path / "killed", torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        process = _FORKED.Process(target=alone, args=(config(model_options={"width": 1 / 4}, epochs=60), out))
        process.start()
        deadline = time.monotonic() + 120
        while process.is_alive() and time.monotonic() < deadline:
            if (out / "history.csv").exists() and len((out / "history.csv").read_text().splitlines()) > 2:
                break
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        done = read_checkpoint(out / "last.pt")["epoch"]
        assert 2 <= done < 60
        shorter = config(model_options={"width": 1 / 4}, epochs=done + 3)
        train(shorter, out, engine, resume=True)
        train(shorter, tmp_path / "whole", engine)
    finally:
        torch.set_num_threads(threads)
    killed, whole = (read_checkpoint(folder / "last.pt")["state_dict"] for folder in (out, tmp_path / "whole"))
    for name, value in whole.items():
        assert torch.equal(killed[name], value), name
