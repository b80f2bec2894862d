"""A hundred kills at random moments: what goes on ends with the result of a training that was never cut off."""

import json
import subprocess
import sys

import pytest
import torch

from fastcam.training import read_checkpoint, train

# Forked before PyTorch has computed anything, so that a part of a training starts at once.
DRIVER = """
import json, os, random, signal, sys, time
from pathlib import Path
from fastcam.lock import locked
from fastcam.training import TrainingConfig, train
from fastcam.training.engine import start_engine

settings, folder, wanted = json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
draw, kills, runs = random.Random(0), 0, 0
while kills < wanted:
    out = folder / str(runs)
    runs += 1
    while True:
        child = os.fork()
        if child == 0:
            with locked(out):
                train(TrainingConfig(**settings), out, start_engine(device="cpu"), resume=True)
            os._exit(0)
        end = time.monotonic() + draw.uniform(0.05, 2.5)
        while time.monotonic() < end and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.005)
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None and kills < wanted:
            os.kill(child, signal.SIGKILL)
            kills += 1
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            break
print(json.dumps([kills, runs]))
"""


@pytest.mark.long
def test_a_hundred_kills(config, engine, tmp_path):
    settings = config(epochs=12, select="best", lr=0.05, seed=3)
    train(settings, tmp_path / "whole", engine)
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(settings.to_mapping()), str(tmp_path), "100"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kills, runs = json.loads(done.stdout.splitlines()[-1])
    assert kills == 100
    for run in range(runs):
        out = tmp_path / str(run)
        assert sorted(path.name for path in out.iterdir()) == ["best.pt", "history.csv", "last.pt"]
        for name in ("last.pt", "best.pt"):
            wanted, got = read_checkpoint(tmp_path / "whole" / name), read_checkpoint(out / name)
            assert got["epoch"] == wanted["epoch"]
            assert all(torch.equal(value, got["state_dict"][key]) for key, value in wanted["state_dict"].items())
        assert len((out / "history.csv").read_text().splitlines()) == 13
    print(f"\n{kills} kills in {runs} trainings, all resumed to the uninterrupted result")  # noqa: T201
