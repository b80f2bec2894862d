"""``fastcam localize`` by several processes, and runs that are killed and gone on with."""

import contextlib
import csv
import os
import re
import signal

import pytest
from click.testing import CliRunner
from command import PLAIN, paint
from several import in_processes

from fastcam import pictures
from fastcam.cli.main import main
from fastcam.parts import PARTS, Parts

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.usefixtures("photos"),
]
COLOURS = ("red", "green", "blue")
COUNT = 11


@pytest.fixture
def photos(here):
    for i in range(COUNT):
        paint(here / "in" / f"{i:02}.png", COLOURS[i % 3], box=(8 + 4 * i, 24, 60 + 5 * i, 72))
    (here / "in" / "05.png").write_bytes(b"no picture")


def localized(*arguments):
    """Run the command in this process; return its exit status and what it printed."""
    command = ["localize", "--model", "toy_network:Colours", *PLAIN, "--batch-size", "2", "in", *arguments]
    result = CliRunner().invoke(main, command)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def rows(folder):
    """The rows of boxes.csv, but for the time that each took."""
    with open(folder / "boxes.csv", newline="") as file:
        return [row[:-1] for row in csv.reader(file)]


def same_results(one, other):
    assert rows(other) == rows(one)
    for name in ("boxes.json", "dataset.json"):
        assert (other / name).read_text() == (one / name).read_text()
    overlays = [{file.name: file.read_bytes() for file in folder.glob("overlays/*")} for folder in (one, other)]
    assert overlays[0] == overlays[1]
    assert not (other / PARTS).exists()


@pytest.mark.parametrize("count", [2, 3])
def test_the_results_of_one(count, here):
    alone = localized("--out", "one")
    found = in_processes(count, here / "ranks", localized, "--out", "some")
    same_results(here / "one", here / "some")
    assert sorted(code for code, *_ in found) == [0] * (count - 1) + [1]
    without_times = [re.sub(r" +([0-9.]+|ms)$", "", out, flags=re.MULTILINE) for out in (alone[1], found[0][1])]
    assert without_times[0] == without_times[1]
    assert [out for _, out, _ in found[1:]] == [""] * (count - 1)
    assert "".join(said for *_, said in found).count("skipped in/05.png") == 1
    assert found[0][2].endswith("10 pictures localized, results in some; 1 skipped\n")


def killed_in_the_third_batch(rank, tear):
    """A command that is killed when it has written two batches, and perhaps half of the next."""
    add, done = Parts.add, []

    def kill(self, *batch):
        if self._processes.rank == rank and len(done) == 2:
            if tear:
                self._file.write(b'{"numbers": [1')
                self._file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(batch)
        add(self, *batch)

    Parts.add = kill
    return localized("--out", "out", "--resume")


@pytest.mark.parametrize("tear", [False, True])
def test_killed_and_gone_on_with(tear, here, monkeypatch):
    localized("--out", "one")
    in_processes(1, here / "ranks", killed_in_the_third_batch, 0, tear, codes=[-signal.SIGKILL])
    assert not (here / "out" / "boxes.csv").exists()
    located, seen = pictures._located, []

    def counted(network, batch, settings):
        seen.extend(one.picture.file for one in batch)
        return located(network, batch, settings)

    monkeypatch.setattr(pictures, "_located", counted)
    assert localized("--out", "out", "--resume")[0] == 1
    same_results(here / "one", here / "out")
    assert seen == [f"in/{i:02}.png" for i in range(4, COUNT) if i != 5]


def test_one_of_two_is_killed(here):
    localized("--out", "one")
    codes = [1, -signal.SIGKILL]
    with contextlib.suppress(AssertionError):
        in_processes(2, here / "killed", killed_in_the_third_batch, 1, True, codes=codes)
    assert (here / "out" / PARTS).is_dir()
    code, _, said = localized("--out", "out", "--resume")
    assert code == 1
    assert "cannot be gone on with: its processes was 2 and is 1 now" in said
    found = in_processes(2, here / "ranks", localized, "--out", "out", "--resume")
    assert sorted(code for code, *_ in found) == [0, 1]
    same_results(here / "one", here / "out")


def test_other_pictures_or_settings(here):
    in_processes(1, here / "ranks", killed_in_the_third_batch, 0, False, codes=[-signal.SIGKILL])
    code, _, said = localized("--out", "out", "--resume", "--top-k", "2")
    assert code == 1
    assert "cannot be gone on with: its settings was" in said
    paint(here / "more.png")
    code, _, said = localized("--out", "out", "--resume", "more.png")
    assert code == 1
    assert f"its pictures was {COUNT} and is {COUNT + 1} now" in said
    # Without --resume it is begun anew.
    assert localized("--out", "out", "--top-k", "2")[0] == 1
    assert len(rows(here / "out")) == 1 + 2 * (COUNT - 1)


def without_a_part(rank):
    together = Parts.together

    def lose(self, count):
        self._path(rank).unlink()
        return together(self, count)

    Parts.together = lose
    return localized("--out", "out")


def test_a_part_is_missing(here):
    code, _, said = in_processes(2, here / "ranks", without_a_part, 1)[0]
    assert code == 1
    assert "1.jsonl: missing, a part of the results; --resume makes it again" in said
    assert not (here / "out" / "boxes.csv").exists()
    localized("--out", "one")
    found = in_processes(2, here / "again", localized, "--out", "out", "--resume")
    assert sorted(code for code, *_ in found) == [0, 1]
    same_results(here / "one", here / "out")


def test_a_full_disk_at_the_join(here, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "out/boxes.csv")

    with monkeypatch.context() as patch:
        patch.setattr(pictures, "write_run", full)
        code, _, said = localized("--out", "out", "--resume")
    assert code == 1
    assert "No space left on device: 'out/boxes.csv'" in said
    assert "go on with --resume" in said
    localized("--out", "one")
    assert localized("--out", "out", "--resume")[0] == 1
    same_results(here / "one", here / "out")


def test_a_folder_that_another_run_writes_to(here):
    (here / "out").mkdir()
    from fastcam.lock import locked

    with locked(here / "out"):
        found = in_processes(2, here / "ranks", localized, "--out", "out")
    assert [code for code, *_ in found] == [1, 1]
    assert "another run writes to this folder" in found[0][2]
    assert "another process of this run ended before its time" in found[1][2]


def test_a_list_of_paths(here):
    (here / "list.txt").write_text("in/01.png\n\nin/03.png\n")
    command = ["localize", "--model", "toy_network:Colours", *PLAIN, "--from-list", "list.txt", "--out", "out"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert [row[0] for row in rows(here / "out")[1:]] == ["in/01.png", "in/03.png"]
    assert "give PATHS, or a file of them" in CliRunner().invoke(main, ["localize", "--out", "out"]).stderr
