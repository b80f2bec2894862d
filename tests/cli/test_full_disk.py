"""A disk that fails at every single step of writing: one line, an exit status, and nothing lost that was there."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

pytest.importorskip("lightning_fabric")
pytest.importorskip("matplotlib")

from click.testing import CliRunner
from full_disk import FullDisk

from fastcam.cli.main import main
from fastcam.data.synthetic import write_synthetic
from fastcam.training import read_checkpoint

TRAIN = ["train", "--data", "birds", "--model", "vgg16", "--model-option", "width=0.0625", "--batch-size", "8"]
TRAIN += ["--resize", "36", "--crop", "32", "--workers", "0", "--device", "cpu", "--select", "best", "--out", "run"]
EVALUATE = ["evaluate", "--checkpoint", "first/last.pt", "--data", "birds", "--workers", "0", "--out", "report"]
EVALUATE += ["--gallery", "1", "--per-image", "report/rows.csv", "--scoremaps-out", "report/maps.npz"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Pictures and a training of one epoch, made once."""
    here = tmp_path_factory.mktemp("disk")
    write_synthetic(here / "birds", train=16, test=4, classes=2, size=32)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(here)
        assert invoked(*TRAIN[:-1], "first", "--epochs", "1", "--no-test").exit_code == 0
    return here


@pytest.fixture(autouse=True)
def here(place, monkeypatch):
    monkeypatch.chdir(place)
    # Files of an evaluation's own are below it too, so that they fail like the others.
    (place / "tmp").mkdir(exist_ok=True)
    monkeypatch.setattr("tempfile.tempdir", str(place / "tmp"))
    return place


def invoked(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def said(result):
    """What a command that failed has said, which is no traceback."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("Error: "), result.output
    assert len(line) < 500
    return line


def leftovers(folder):
    return [path for path in Path(folder).rglob("*") if path.name.endswith((".tmp", ".lock"))]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("former", [False, True])
def test_evaluate(former, error, here, monkeypatch):
    def fresh():
        shutil.rmtree(here / "report", ignore_errors=True)
        (here / "report").mkdir()
        if former:
            for name in ("evaluation.json", "rows.csv", "maps.npz", "gallery.html"):
                (here / "report" / name).write_text("former")

    fresh()
    with monkeypatch.context() as patched:
        disk = FullDisk(patched, here, 0)
        whole = invoked(*EVALUATE)
    assert whole.exit_code == 0, whole.output
    expected = {path.name: path.stat().st_size for path in (here / "report").iterdir()}
    # All steps where there were no files; else every seventh.
    for step in range(1, disk.steps + 1, 7 if former or error == errno.EROFS else 1):
        fresh()
        with monkeypatch.context() as patched:
            FullDisk(patched, here, step, error)
            message = said(invoked(*EVALUATE))
        assert os.strerror(error) in message, step
        for path in (here / "report").iterdir():
            if path.suffix == ".json":
                assert path.read_text() == "former" or json.loads(path.read_text())["numbers"], step
            else:
                assert path.read_bytes() == b"former" or path.stat().st_size == expected[path.name], (step, path)
        assert leftovers(here / "report") == [], step
    assert invoked(*EVALUATE).exit_code == 0


@pytest.mark.parametrize("tensorboard", [[], ["--tensorboard"]])
def test_train(tensorboard, here, monkeypatch):
    if tensorboard:
        pytest.importorskip("tensorboardX")
    command = [*TRAIN, "--epochs", "2", *tensorboard]
    shutil.rmtree(here / "run", ignore_errors=True)
    with monkeypatch.context() as patched:
        disk = FullDisk(patched, here, 0)
        assert invoked(*command).exit_code == 0
    results = json.loads((here / "run" / "results.json").read_text())
    for step in range(1, disk.steps + 1, 5 if tensorboard else 1):
        shutil.rmtree(here / "run", ignore_errors=True)
        with monkeypatch.context() as patched:
            FullDisk(patched, here, step)
            message = said(invoked(*command))
        assert "o space left on" in message, (step, message)
        assert leftovers(here / "run") == [], step
        # What is there is whole, and the training goes on from it.
        if (here / "run" / "last.pt").exists():
            read_checkpoint(here / "run" / "last.pt")
        if step % 4 == 0 or step == disk.steps:
            assert invoked(*command, "--resume").exit_code == 0, step
            again = json.loads((here / "run" / "results.json").read_text())
            assert {**again, "images_per_second": 0} == {**results, "images_per_second": 0}, step
