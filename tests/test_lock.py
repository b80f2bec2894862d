"""One run at a time in a folder."""

import json
import os
import subprocess
import sys

import pytest

from fastcam.lock import LOCK, LockedError, locked

HOLD = """
import sys, time
from pathlib import Path
from fastcam.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(folder):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def end(process):
    process.kill()
    process.communicate()


def test_a_folder_is_made_and_left_clean(tmp_path):
    with locked(tmp_path / "a" / "b"):
        assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == [LOCK]
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_another_process_is_named(tmp_path):
    process = hold(tmp_path)
    try:
        with (
            pytest.raises(LockedError, match=rf"another run writes to this folder, process {process.pid} on "),
            locked(tmp_path),
        ):
            pass
    finally:
        end(process)


def test_the_lock_of_a_killed_process_is_taken_over_and_what_it_wrote_is_removed(tmp_path):
    process = hold(tmp_path)
    end(process)
    assert (tmp_path / LOCK).exists()
    for name in (".0123456789abcdef.tmp", ".mine.tmp", "0123456789abcdef.tmp"):
        (tmp_path / name).write_text("half")
    with locked(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == [LOCK, ".mine.tmp", "0123456789abcdef.tmp"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', json.dumps({"pid": 0, "host": "x", "started": ""})])
def test_a_lock_that_names_no_one_is_stale_and_that_of_another_host_is_not(tmp_path, content):
    (tmp_path / LOCK).write_text(content)
    if "host" in content:
        with pytest.raises(LockedError, match="process 0 on x"), locked(tmp_path):
            pass
        assert (tmp_path / LOCK).read_text() == content
    else:
        with locked(tmp_path):
            assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


def test_a_process_id_that_is_used_again_is_not_the_same_process(tmp_path):
    with locked(tmp_path):
        content = json.loads((tmp_path / LOCK).read_text())
    (tmp_path / LOCK).write_text(json.dumps({**content, "started": "1"}))
    with locked(tmp_path):
        pass


def test_of_many_at_once_one_wins(tmp_path):
    code = HOLD.replace("time.sleep(60)", "time.sleep(1)")
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    outcomes = [(*run.communicate(timeout=60), run.returncode) for run in runs]
    won = [out for out, _, status in outcomes if status == 0]
    # Those that came when another had ended have it too, one after the other.
    assert won
    assert all(out == "held\n" for out in won)
    assert all("another run writes to this folder" in err for _, err, status in outcomes if status != 0)
