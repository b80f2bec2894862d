"""The history of measurements: a line a form of fastcam in a row, appended and never changed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from benchmark_records import BOXES, LOSS, document
from history import COLUMNS, append, lines_of, main, plot, read

BENCH = Path(__file__).parents[2] / "bench"
MACHINE = {"processor": "abacus (family 1, model 2)", "instruction set": "avx2", "date": "2026-11-30"}


def measured(*records):
    return document(*records) | {"machine_info": {"fastcam": MACHINE}}


def test_a_line_says_what_where_and_beside_whom():
    packed, polygon, tap = lines_of(measured(BOXES, LOSS), "abc1234")
    assert set(packed) == set(COLUMNS)
    assert packed == {
        "date": "2026-11-30", "commit": "abc1234", "processor": MACHINE["processor"], "instruction_set": "avx2",
        "threads": "1", "group": "boxes", "what": "largest box", "data": "smooth", "dtype": "float32",
        "size": "224x224", "images": "64", "contender": "fastcam, packed", "us_per_image": "2",
        "peer": "findContours EXTERNAL", "peer_us_per_image": "30", "ratio": "15",
    }  # fmt: skip
    assert (polygon["contender"], polygon["ratio"]) == ("fastcam, packed, polygon", "10")
    assert (tap["peer"], tap["ratio"]) == ("PyTorch, compiled", "0.8")


def test_a_row_without_a_peer_has_no_ratio():
    alone = {**BOXES, "contenders": BOXES["contenders"][:1], "times_faster": {"fastcam, packed": {}}}
    (line,) = lines_of(measured(alone), "")
    assert (line["us_per_image"], line["peer"], line["peer_us_per_image"], line["ratio"]) == ("2", "", "", "")


def test_runs_are_appended(tmp_path):
    path = tmp_path / "below" / "history.csv"
    first, second = lines_of(measured(BOXES), "aaa"), lines_of(measured(LOSS), "bbb")
    append(path, first)
    before = path.read_bytes()
    append(path, second)
    assert path.read_bytes().startswith(before)
    assert read(path) == first + second


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"must have the columns date, commit.*got \['a', 'b'\]"):
        read(path)


def test_the_command(tmp_path):
    results, history, picture = tmp_path / "bench.json", tmp_path / "history.csv", tmp_path / "history.png"
    results.write_text(json.dumps(measured(BOXES, LOSS)))
    for _ in range(2):
        main([str(results), "--history", str(history), "--plot", str(picture)])
    lines = read(history)
    assert len(lines) == 6
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=BENCH, capture_output=True, text=True, check=False
    ).stdout.strip()
    assert all(line["commit"].removesuffix("+") == commit for line in lines)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_is_kept_in_the_project():
    lines = read(BENCH / "results" / "history.csv")
    assert len({line["date"] for line in lines}) > 1
    assert all(float(line["us_per_image"]) > 0 for line in lines)
    assert all(float(line["ratio"]) > 0 for line in lines if line["ratio"])
    assert all(bool(line["ratio"]) == bool(line["peer"]) for line in lines)


def test_nothing_to_draw(tmp_path):
    plot([], tmp_path / "empty.png")
    assert (tmp_path / "empty.png").exists()
