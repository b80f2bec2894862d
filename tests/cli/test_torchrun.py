"""Commands under torchrun: several processes, one report, one line where something is wrong."""

import os
import subprocess
import sys

import numpy as np
import pytest
from several import free_port, in_processes
from small_datasets import cub

pytest.importorskip("click")
pytest.importorskip("torchmetrics")
pytest.importorskip("matplotlib")

from click.testing import CliRunner

from fastcam.cli.main import main
from fastcam.data import read_cub

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
EVALUATE = ["evaluate", "--scoremaps", "maps.npz", "--data", "birds", "--workers", "0", "--batch-size", "1"]


@pytest.fixture
def maps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    split = read_cub(cub(tmp_path / "birds", 15, size=(64, 64)), "test")
    random = np.random.default_rng(0)
    scores = {record.id: random.normal(size=(6, 6)).astype(np.float32) for record in split}
    np.savez("maps.npz", **scores)
    return scores


def command(*arguments):
    """Run a command in this process; return its exit status and what it printed."""
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.usefixtures("maps")
def test_one_report(tmp_path):
    alone = command(*EVALUATE, "--out", "one", "--per-image", "one.csv")
    assert alone[0] == 0, alone
    found = in_processes(3, tmp_path / "ranks", command, *EVALUATE, "--out", "some", "--per-image", "some.csv")
    assert [status for status, *_ in found] == [0, 0, 0]
    assert [out for _, out, _ in found] == [alone[1], "", ""]
    for name in ("{}/evaluation.json", "{}/evaluation.md", "{}.csv"):
        assert (tmp_path / name.format("some")).read_text() == (tmp_path / name.format("one")).read_text()


def test_what_is_skipped_is_named_once(maps, tmp_path):
    names = list(maps)
    np.savez("maps.npz", **{name: maps[name] for name in names[:-1]})
    found = in_processes(2, tmp_path / "ranks", command, *EVALUATE, "--skip-bad")
    assert sorted(status for status, *_ in found) == [0, 1]
    said = "".join(errors for *_, errors in found)
    assert said.count(f"maps.npz[{names[-1]}]: no such score map") == 1
    assert found[0][2].endswith("1 skipped\n")


@pytest.mark.long
@pytest.mark.parametrize("missing", [False, True])
def test_under_torchrun(maps, missing, tmp_path):
    if missing:
        np.savez("maps.npz", **dict(list(maps.items())[:-1]))
    several = ["--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port", str(free_port()), "--no-python"]
    fastcam = [sys.executable, "-c", "from fastcam.cli.main import main; main(prog_name='fastcam')"]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *several, *fastcam, *EVALUATE, "--out", "out"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if missing:
        assert done.returncode == 1
        assert f"maps.npz[{list(maps)[-1]}]: no such score map (--skip-bad leaves it out)" in done.stderr
        assert not (tmp_path / "out" / "evaluation.json").exists()
    else:
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("dataset: birds") == 1
        assert (tmp_path / "out" / "evaluation.json").exists()
