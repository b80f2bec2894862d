"""From the JSON of `pytest bench --benchmark-only --benchmark-json=results.json` to the tables of the README.

python bench/table.py results.json --out bench/results/NAME.md
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from musts import musts_table

__all__ = ["main", "peers_of", "report"]

_Record = Mapping[str, Any]

_COLUMNS = ("what", "input", "size", "N", "fastcam", "us/image", "best peer", "us/image", "ratio", "floors")
_READING = (
    "A ratio is how many times faster fastcam is than the peer that comes closest: the median, over the rounds of one "
    "run, of the peer's time over fastcam's. A ratio below 1 is a loss. Floors do less than the task, so they are no "
    "peers: what stands beside one is fastcam's time over the floor's."
)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="what pytest-benchmark wrote")
    parser.add_argument("--out", type=Path, help="a Markdown file to write, instead of printing")
    parser.add_argument("--peers", action="store_true", help="also every contender's time, not the best peer's alone")
    chosen = parser.parse_args(arguments)
    text = report(json.loads(chosen.results.read_text()), peers=chosen.peers)
    if chosen.out is None:
        print(text)
        return
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(text + "\n")


def report(document: Mapping[str, Any], *, peers: bool = False) -> str:
    """The whole of it: the machine, the musts, the ratios, and with `peers` every contender's time."""
    records = [one["extra_info"] for one in document["benchmarks"] if one.get("extra_info")]
    rows = [one for one in records if "contenders" in one]
    threads = [one for one in rows if one["group"] == "two threads"]
    beside = [one for one in rows if one["group"] != "two threads"]
    parts = [_machine(document), musts_table(records)]
    if beside:
        parts += [_READING, ratio_table(beside)]
    if threads:
        parts.append(threads_table(threads))
    if peers:
        parts.append(contenders_table(rows))
    return "\n\n".join(parts)


def ratio_table(rows: list[_Record]) -> str:
    """A line for each form of fastcam in each row."""
    lines = [_line(_ratio_cells(row, ours)) for row in rows for ours in _of_role(row, "fastcam")]
    return "\n".join([_line(_COLUMNS), _rule(_COLUMNS), *lines])


def _ratio_cells(row: _Record, ours: _Record) -> tuple[str, ...]:
    faster = row["times_faster"][ours["name"]]
    name, time, ratio = "none", "", ""
    if peers := peers_of(row, ours):
        name, time = peers[0]["name"], _time(peers[0])
        ratio = _ratio(faster[name])
    floors = [f"{one['name']} {_time(one)} ({1 / faster[one['name']]:.2f}x its time)" for one in _of_role(row, "floor")]
    note = f" ({row['note']})" if row.get("note") else ""
    return (*_places(row), ours["name"], _time(ours), name + note, time, ratio, "; ".join(floors))


def peers_of(row: _Record, ours: _Record) -> list[_Record]:
    """The peers of a form of fastcam, the one that comes closest first."""
    faster = row["times_faster"][ours["name"]]
    return sorted(_of_role(row, "peer"), key=lambda one: faster[one["name"]])


def threads_table(rows: list[_Record]) -> str:
    """What two threads gain, part by part."""
    columns = ("two threads against one", "input", "size", "N", "part", "us/image, 1 thread", "2 threads", "gain")
    lines = [_line(columns), _rule(columns)]
    for row in rows:
        times = {one["name"]: _time(one) for one in row["contenders"]}
        for name in (one for one in times if one.endswith(", 2 threads")):
            part = name.removesuffix(", 2 threads")
            single = f"{part}, 1 thread"
            gain = f"{row['times_faster'][name][single]:.2f}x"
            lines.append(_line((*_places(row), part, times[single], times[name], gain)))
    return "\n".join(lines)


def contenders_table(rows: list[_Record]) -> str:
    """Every contender's time, and how many times faster the row's first is."""
    columns = ("what", "input", "size", "N", "contender", "role", "us/image", "first is faster by")
    lines = [_line(columns), _rule(columns)]
    for row in rows:
        first = row["contenders"][0]["name"]
        for one in row["contenders"]:
            faster = row["times_faster"][first].get(one["name"])
            lines.append(
                _line((*_places(row), one["name"], one["role"], _time(one), f"{faster:.2f}x" if faster else ""))
            )
    return "\n".join(lines)


def _machine(document: Mapping[str, Any]) -> str:
    told = document.get("machine_info", {}).get("fastcam", {})
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in told.items())])


def _places(row: _Record) -> tuple[str, str, str, str]:
    dtype = row.get("dtype", "float32")
    told = row["data"] if dtype == "float32" else f"{row['data']}, {dtype}"
    return row["what"], told, row["size"], str(row["images"])


def _of_role(row: _Record, role: str) -> list[_Record]:
    return [one for one in row["contenders"] if one["role"] == role]


def _time(one: _Record) -> str:
    return f"{one['us_per_image']:.3g}" if one["us_per_image"] < 1000 else f"{one['us_per_image']:.0f}"


def _ratio(value: float) -> str:
    text = f"{value:.3g}x" if value < 1000 else f"{value:.0f}x"
    return text if value >= 1 else f"**{text}, a loss**"


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(cells: tuple[str, ...]) -> str:
    return "|" + "---|" * len(cells)


if __name__ == "__main__":
    main()
