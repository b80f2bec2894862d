"""The benchmark's table, and the measuring whose ratios it shows."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmark_records import BOXES, LOSS, contender, document, row
from interleaved import interleaved
from musts import MUSTS
from table import main, report

BENCH = Path(__file__).parents[2] / "bench"


THREADS = row(
    [
        contender(f"{part}, {name}", "fastcam", us, threads)
        for part, two, one in [("whole", 30.0, 40.0), ("map", 18.0, 20.0), ("compute", 10.0, 20.0), ("read", 8.0, 10.0)]
        for threads, name, us in [(2, "2 threads", two), (1, "1 thread", one)]
    ],
    group="two threads",
    what="localize, PAPER",
    images=256,
)
MEMORY = [
    {"group": "memory", "what": "memory of localize, PAPER", "data": "smooth", "size": "14x14 to 1024x1024"}
    | {"images": 256, "threads": threads, "maps_per_thread": maps}
    for threads, maps in [(1, 1.5), (2, 2.5)]
]


def lines_with(text, *parts):
    return [line for line in text.splitlines() if all(part in line for part in parts)]


def test_a_line_holds_the_best_peer_and_the_ratio():
    text = report(document(BOXES))
    (line,) = lines_with(text, "| largest box | smooth | 224x224 | 64 | fastcam, packed |")
    assert line.endswith("| 2 | findContours EXTERNAL | 30 | 15x |  |")
    (line,) = lines_with(text, "| largest box |", "| fastcam, packed, polygon |")
    assert line.endswith("| 3 | findContours EXTERNAL | 30 | 10x |  |")


def test_losses_are_marked_and_floors_are_no_peers():
    (line,) = lines_with(report(document(LOSS)), "| TAP forward | smooth |")
    assert "| fastcam | 50 | PyTorch, compiled | 40 | **0.8x, a loss** |" in line
    assert line.endswith("| adaptive_avg_pool2d 25 (2.00x its time) |")


def test_a_row_without_peers_says_so():
    alone = row([contender("fastcam", "fastcam", 2.0)], group="tap", what="TAP forward", note="torch.compile failed")
    (line,) = lines_with(report(document(alone)), "| TAP forward | smooth |")
    assert "| fastcam | 2 | none (torch.compile failed) |" in line


def test_a_dtype_other_than_float32_is_told():
    text = report(document(LOSS | {"dtype": "bfloat16"}))
    assert lines_with(text, "| TAP forward | smooth, bfloat16 | 14x14x1024 | 64 |")


def verdict(text, what):
    (line,) = lines_with(text.partition("A ratio is")[0], f"| {what}")
    return [cell.strip() for cell in line.split("|")[-5:-1]]


@pytest.mark.parametrize(
    ("what", "wanted"),
    [
        ("packed bits to largest box", [">= 12x", ">= 20x", "15x", "met, aim short"]),
        ("the same against connectedComponentsWithStats", [">= 120x", ">= 200x", "250x", "aim met"]),
        ("polygon area instead of pixel count", ["<= 2x", "<= 1.3x", "1.5x", "met, aim short"]),
        ("TAP forward, its time", ["<= 1.5x", "<= 1x", "2x", "**must short**"]),
        ("two threads against one, `localize`", [">= 1.25x", "what the read allows: >= 1.54x"]),
        ("peak extra memory", ["<= 2 maps", "", "2.5 maps", "**must short**"]),
        ("noise p=0.5", [">= 6x", "", "not measured", ""]),
    ],
)
def test_what_was_asked_stands_beside_what_was_measured(what, wanted):
    text = report(document(BOXES, LOSS, THREADS, *MEMORY))
    assert verdict(text, what)[: len(wanted)] == wanted


def test_read_map_and_compute_stand_apart():
    text = report(document(THREADS))
    assert verdict(text, "two threads against one, `localize`")[2] == "1.33x (read 1.25x, map 1.11x, compute 2.00x)"
    assert lines_with(text, "| localize, PAPER | smooth | 224x224 | 256 | compute | 20 | 10 | 2.00x |")


def test_nearly_equal_is_equal():
    close = [contender("fastcam", "fastcam", 25.5), contender("adaptive_avg_pool2d", "floor", 25.0)]
    text = report(document(row(close, group="tap", what="TAP forward", size="14x14x1024")))
    assert verdict(text, "TAP forward, its time") == ["<= 1.5x", "<= 1x", "1.02x", "aim met"]


def test_an_absent_peer_leaves_the_others():
    few = row(BOXES["contenders"][:3], group="boxes", what="largest box")
    text = report(document(few))
    assert verdict(text, "packed bits to largest box")[2] == "19.5x"
    assert verdict(text, "the same against connectedComponentsWithStats")[2:] == ["not measured", ""]


def test_nothing_measured_leaves_every_line_open():
    text = report({"benchmarks": []})
    assert len(lines_with(text, "not measured")) == len(MUSTS) == 21


def test_every_contender_on_demand():
    text = report(document(BOXES), peers=True)
    assert lines_with(text, "| findContours TREE | peer | 39 | 19.50x |")
    assert lines_with(text, "| fastcam, packed | fastcam | 2 |  |")


def test_the_command_writes_what_it_is_told(tmp_path):
    results, out = tmp_path / "results.json", tmp_path / "new" / "table.md"
    results.write_text(json.dumps(document(BOXES, LOSS)))
    main([str(results), "--out", str(out)])
    printed = subprocess.run(
        [sys.executable, str(BENCH / "table.py"), str(results)], check=True, capture_output=True, text=True
    ).stdout
    assert out.read_text() == printed
    assert lines_with(printed, "| processor | abacus |")


class Clock:
    """Functions that take the time they are told, on a clock of their own."""

    def __init__(self):
        self.now = 0.0
        self.calls = []

    def taking(self, name, *seconds):
        def run():
            self.now += seconds[self.calls.count(name) % len(seconds)]
            self.calls.append(name)

        return run


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("interleaved.perf_counter", lambda: clock.now)
    return clock


def test_ratios_are_those_of_the_rounds(clock):
    # The machine is ten times slower in every other round: the medians of the times say little, the ratios all.
    functions = {"quick": clock.taking("quick", 1.0, 10.0), "slow": clock.taking("slow", 3.0, 30.0)}
    found = interleaved(functions, rounds=9, max_seconds=1e9)
    assert found.ratio("slow", "quick") == pytest.approx(3)
    assert found.median("slow") / found.median("quick") == pytest.approx(3)
    assert {len(times) for times in found.seconds.values()} == {9}


def test_every_round_measures_everybody_in_a_shuffled_order(clock):
    names = ["a", "b", "c", "d"]
    interleaved({name: clock.taking(name, 1.0) for name in names}, rounds=12, max_seconds=1e9)
    measured = clock.calls[2 * len(names) :]
    rounds = [tuple(measured[i : i + 4]) for i in range(0, len(measured), 4)]
    assert len(rounds) == 12
    assert all(sorted(one) == names for one in rounds)
    assert len(set(rounds)) > 3


def test_short_calls_are_repeated_and_their_mean_is_taken(clock):
    found = interleaved({"short": clock.taking("short", 0.001), "long": clock.taking("long", 1.0)}, min_seconds=0.01)
    assert found.calls == {"short": 10, "long": 1}
    assert found.median("short") == pytest.approx(0.001)
    again = interleaved({"long": clock.taking("long", 1.0)}, fewest_calls=4, rounds=5)
    assert again.calls == {"long": 4}


def test_long_ones_get_fewer_rounds_but_five(clock):
    found = interleaved({"long": clock.taking("long", 1.0)}, rounds=50, max_seconds=3)
    assert len(found.seconds["long"]) == 5
    found = interleaved({"long": clock.taking("long", 1.0)}, rounds=50, max_seconds=19.5)
    assert len(found.seconds["long"]) == 20


def test_what_comes_before_is_not_timed(clock):
    prepared = []

    def before(name):
        prepared.append(name)
        clock.now += 100

    found = interleaved({"a": clock.taking("a", 1.0)}, rounds=5, max_seconds=1e9, before=before)
    assert found.seconds["a"] == [pytest.approx(1.0)] * 5
    assert prepared == ["a"] * 6


def test_real_time_is_measured():
    found = interleaved({"nap": lambda: time.sleep(0.002)}, rounds=5, min_seconds=0.001)
    assert found.median("nap") >= 0.002
