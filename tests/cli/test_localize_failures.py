"""What ``fastcam localize`` says and leaves when something fails, and what it does not lose."""

import builtins
import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from command import PLAIN, load, paint, process, rows, run

from fastcam.tables import read_table

TABLES = ["boxes.csv", "boxes.json", "dataset.json"]


class FullDisk:
    """Counts what is written; there is no room the n-th time, and from then on if it is full for good."""

    def __init__(self, monkeypatch, full_at, for_good=True):
        self.count, self.full_at, self.for_good = 0, full_at, for_good
        monkeypatch.setattr("fastcam.files.open", self.open, raising=False)
        monkeypatch.setattr(os, "fsync", self.counted(os.fsync))
        monkeypatch.setattr(Path, "write_text", self.counted(Path.write_text))

    def check(self):
        self.count += 1
        if self.count == self.full_at or (self.for_good and self.count > self.full_at):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def counted(self, call):
        def checked(*arguments, **options):
            self.check()
            return call(*arguments, **options)

        return checked

    def open(self, path, mode):
        self.check()
        return HalfWritten(builtins.open(path, mode), self)


class HalfWritten:
    """A file of which a write that finds no room writes half."""

    def __init__(self, file, disk):
        self.file, self.disk = file, disk

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, content):
        try:
            self.disk.check()
        except OSError:
            self.file.write(content[: len(content) // 2])
            raise
        return self.file.write(content)

    def __getattr__(self, name):
        return getattr(self.file, name)


def everything_in(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def error_of(result):
    """The one line that says what failed."""
    assert "Traceback" not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    return line


class TestFullDisk:
    @pytest.mark.parametrize("former", [False, True], ids=["first", "again"])
    @pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
    def test_at_every_write(self, here, monkeypatch, former, for_good):
        paint(here / "old" / "b.png", "blue")
        paint(here / "in" / "a.png", "green")
        with monkeypatch.context() as patch:
            disk = FullDisk(patch, sys.maxsize)
            run("old")
        # The lock; and opening, writing and syncing the mark, the overlay and each table.
        assert disk.count == 1 + 3 * 5
        before = {name: (here / "out" / name).read_bytes() for name in TABLES}
        marked = 3 if former else 0
        for full_at in range(1, disk.count - marked + 1):
            if not former:
                for name in everything_in(here / "out"):
                    (here / "out" / name).unlink()
            with monkeypatch.context() as patch:
                FullDisk(patch, full_at, for_good)
                result = run("in", code=1)
            assert error_of(result).startswith(f"Error: [Errno {errno.ENOSPC}] No space left on device: 'out/")
            after = everything_in(here / "out")
            assert not [name for name in after if name.endswith(".tmp") or name == ".fastcam.lock"]
            if former:
                assert {name: after[name] for name in TABLES} == before
            assert sum(name in after for name in TABLES) in (0, 3)
            # What was found and could not be written is told.
            assert ("a.png" in result.stdout) == (full_at > 7 - marked)

    @pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="limits are POSIX")
    def test_a_limit_of_the_size_of_files(self, here):
        paint(here / "in" / "a.png")
        run("in")
        before = everything_in(here / "out")
        limit = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (256, 256))}
        result = process("in", cwd=here, **limit)
        assert result.returncode == 1
        assert error_of(result) == f"Error: [Errno {errno.EFBIG}] File too large: 'out/overlays/a.png'"
        after = everything_in(here / "out")
        assert after == {**before, **{name: after[name] for name in after if ".partial." in name}}


class TestInTheWay:
    @pytest.mark.parametrize("name", TABLES)
    def test_a_folder_that_is_called_as_a_table(self, here, name):
        paint(here / "a.png")
        (here / "out" / name).mkdir(parents=True)
        assert f"out/{name}: a folder, where a file is to be written" in error_of(run("a.png", code=2))
        assert os.listdir("out") == [name]

    def test_a_file_that_is_called_overlays(self, here):
        paint(here / "a.png")
        (here / "out").mkdir()
        (here / "out" / "overlays").write_text("mine")
        assert "out/overlays: a file, where the folder" in error_of(run("a.png", code=2))
        run("a.png", "--no-overlay")
        assert (here / "out" / "overlays").read_text() == "mine"

    def test_photographs_are_not_replaced_by_overlays(self, here):
        paint(here / "in" / "a.png")
        mine = paint(here / "in" / "overlays" / "a.png").read_bytes()
        message = error_of(run("in", "--out", "in", code=2))
        assert "in/overlays: not of an earlier run" in message
        assert (here / "in" / "overlays" / "a.png").read_bytes() == mine

    def test_a_full_file_system_says_which_folder(self, here, monkeypatch):
        paint(here / "a.png")

        def refused(*_, **__):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), "out")

        monkeypatch.setattr(Path, "mkdir", refused)
        assert "Invalid value for --out: [Errno 30] Read-only file system: 'out'" in error_of(run("a.png", code=2))


class TestNames:
    def test_too_long_to_be_there(self, here):
        assert "no file, folder or glob that matches" in error_of(run("x" * 300 + ".png", code=2))
        paint(here / "a.png")
        assert "File name too long" in error_of(run("a.png", "--out", "x" * 300, code=2))

    @pytest.mark.parametrize("suffix", [".png", ".gif"])
    def test_as_long_as_can_be(self, here, suffix):
        names = [letter + "é" * ((254 - len(suffix)) // 2) + suffix for letter in "ab"]
        for name in names:
            paint(here / "in" / name)
        run("in")
        assert [os.path.basename(row["file"]) for row in rows(here)] == names
        assert len(os.listdir("out/overlays")) == 2

    def test_a_folder_called_as_an_overlay_would_be(self, here):
        paint(here / "in" / "a.gif")
        paint(here / "in" / "a.gif.png" / "b.png")
        run("in")
        assert sorted(os.listdir("out/overlays")) == ["a.gif-2.png", "a.gif.png"]

    @pytest.mark.parametrize("first", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'x", "''=x"])
    def test_formulas_are_harmless_and_read_back(self, here, first):
        name = f"{first}.png"
        paint(here / name)
        run("--", name)
        (row,) = read_table("out/boxes.csv")
        assert row["file"] == name
        cell = (here / "out" / "boxes.csv").read_text().splitlines()[1].lstrip('"')
        assert cell.startswith("'")
        assert load(here, "dataset.json")["images"][0]["file_name"] == name

    def test_nothing_a_terminal_obeys_is_said(self, here):
        names = ["a\x1b[31m.png", "b\r.png", "c\nd.png", "e\x9b2J.png", "f\u202e.png", "g\x07.png"]
        for number, name in enumerate(names):
            paint(here / "in" / name)
            if number % 2:
                (here / "in" / name).write_text("no picture")
        (here / "classes.txt").write_text("r\x1b[0m\ng\x1b[0m\nb\x1b[0m\n")
        (here / "in" / "\x1b[1mlink").symlink_to(here, target_is_directory=True)
        results = [run("in", "--classes", "classes.txt", code=1)]
        results += [run("\x1b[31m.png", code=2), run("in", "--classes", "no\x1b[31m.txt", code=2)]
        results += [run("in", "--no-\x1b[31m", code=2), run("in", "--model", "no\x1b[31m", code=2)]
        for result in results:
            said = (result.stdout + result.stderr).replace("\n", "")
            assert said.isprintable(), said
        assert len(results[0].stdout.splitlines()) == 4
        assert "skipped in/f\\u202e" not in results[0].stderr
        assert "a\\x1b[31m.png" in results[0].stdout
        assert "skipped in/b\\r.png: " in results[0].stderr


class TestStandardOutput:
    def shell(self, here, line):
        command = f"{sys.executable} -m fastcam localize --model toy_network:Colours {' '.join(PLAIN)} --out out in"
        return subprocess.run(
            ["bash", "-c", line.format(command)], cwd=here, capture_output=True, text=True, check=False
        )

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
    @pytest.mark.parametrize(
        ("line", "why"),
        [
            ("{} >/dev/full", "No space left on device"),
            ("{} >&-", "it is closed"),
            ("set -o pipefail; {} | true", "Broken pipe"),
            (f"{sys.executable} -m fastcam localize --help >/dev/full", "No space left on device"),
        ],
    )
    def test_full_or_closed(self, here, line, why):
        paint(here / "in" / "a.png")
        result = self.shell(here, line)
        assert result.returncode == 1
        assert error_of(result) == f"Error: standard output cannot be written: {why}"
        assert "Exception ignored" not in result.stderr
        if "--help" not in line:
            assert len(rows(here)) == 1

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
    def test_messages_that_cannot_be_written_stop_nothing(self, here):
        paint(here / "in" / "a.png")
        result = self.shell(here, "{} 2>/dev/full")
        assert result.returncode == 0
        assert "a.png" in result.stdout
        assert len(rows(here)) == 1

    def test_python_m_fastcam(self, here):
        paint(here / "in" / "a.png")
        result = self.shell(here, "{}")
        assert result.returncode == 0
        assert result.stderr == "1 picture localized, results in out\n"


class TestAgain:
    def stopped(self, here):
        heard = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)}
        return process("in", "--batch-size", "1", model="toy_network:Interrupted", cwd=here, **heard)

    def test_a_run_that_is_stopped_does_not_replace_what_a_whole_one_found(self, here):
        for number in range(4):
            paint(here / "in" / f"{number}.png")
        run("in")
        before = {name: (here / "out" / name).read_bytes() for name in TABLES}
        result = self.stopped(here)
        assert result.returncode == 128 + signal.SIGINT
        assert {name: (here / "out" / name).read_bytes() for name in TABLES} == before
        assert len(read_table("out/boxes.partial.csv")) == 2
        assert len(load(here, "boxes.partial.json")) == len(load(here, "dataset.partial.json")["images"]) == 2
        assert "stopped; the results of 2 pictures are in out/boxes.partial.csv, beside those of" in result.stderr
        run("in")
        assert sorted(os.listdir("out")) == [".fastcam-overlays", *TABLES, "overlays"]

    def test_overlays_that_a_killed_run_was_writing_are_removed(self, here):
        paint(here / "in" / "a.png")
        run("in")
        left = here / "out" / "overlays" / ".0123456789abcdef.tmp"
        left.write_bytes(b"half")
        run("in")
        assert not left.exists()

    def test_results_go_where_the_pictures_are(self, here):
        paint(here / "in" / "a.png")
        for left_out in ("", "left out in/overlays: overlays of fastcam localize, no photographs\n"):
            result = run("in", "--out", "in")
            assert result.stderr == f"{left_out}1 picture localized, results in in\n"

    def test_overlays_of_another_run_are_no_photographs(self, here):
        paint(here / "in" / "a.png")
        run("in", "--out", "in/first")
        result = run("in", "--out", "second")
        assert result.stderr == (
            "left out in/first/overlays: overlays of fastcam localize, no photographs\n"
            "1 picture localized, results in second\n"
        )


class TestMemory:
    def test_that_runs_out_is_one_line(self, here):
        for number in range(4):
            paint(here / "in" / f"{number}.png")
        result = process("in", "--batch-size", "1", model="toy_network:Broken", cwd=here)
        assert result.returncode == 1
        assert error_of(result) == "Error: out of memory: out of memory"
        assert len(rows(here)) == 2

    @pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()])
    def test_by_any_name(self, here, monkeypatch, error):
        paint(here / "a.png")

        def none_left(*_, **__):
            raise error

        monkeypatch.setattr("fastcam.network.Network.find", none_left)
        assert error_of(run("a.png", code=1)).startswith("Error: out of memory")

    def test_pytorch_on_a_cpu(self, here, monkeypatch):
        paint(here / "a.png")
        monkeypatch.setattr("fastcam.network.Network.find", lambda *_, **__: torch.empty(1 << 60, dtype=torch.uint8))
        assert error_of(run("a.png", code=1)).startswith("Error: out of memory: ")


class TestWhatIsMissedCounts:
    def test_in_a_folder(self, here):
        paint(here / "in" / "a.png")
        (here / "in" / "b.heic").write_bytes(b"\0\0\0\x18ftypheic")
        (here / "in" / "c.nef").write_bytes(b"II*\0")
        paint(here / "elsewhere" / "d.png")
        (here / "in" / "link").symlink_to(here / "elsewhere", target_is_directory=True)
        result = run("in", code=1)
        assert len(rows(here)) == 1
        for said in (
            "skipped in/b.heic: not a picture in a format that Pillow knows",
            "skipped in/c.nef: a camera's raw format; develop it first",
            "skipped in/link: a link to a folder; name it to search it",
            "1 picture localized, results in out; 3 skipped",
        ):
            assert said in result.stderr


class TestSizes:
    @pytest.mark.parametrize("size", ["1", "2", "70000x1", "0", "x", "1x2x3"])
    def test_inputs_that_the_network_cannot_take(self, here, size):
        paint(here / "a.png")
        result = run("a.png", "--input-size", size, code=2 if size in ("0", "x", "1x2x3") else 1)
        assert "input" in error_of(result)
        assert not (here / "out" / "boxes.csv").exists()
