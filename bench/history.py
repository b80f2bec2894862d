"""Every measurement that was kept, one line a row, and a plot of how the ratios went.

python bench/history.py build/bench.json [--history bench/results/history.csv] [--plot bench/results/history.png]

`make bench` calls this: it appends the run to the history and draws the plot anew. Lines are never changed.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from table import peers_of

__all__ = ["COLUMNS", "append", "lines_of", "main", "plot", "read"]

Line = dict[str, str]

COLUMNS: Final = (
    "date", "commit", "processor", "instruction_set", "threads", "group", "what", "data", "dtype", "size", "images",
    "contender", "us_per_image", "peer", "peer_us_per_image", "ratio",
)  # fmt: skip
_RESULTS: Final = Path(__file__).parent / "results"

# What the plot shows: title, and the line of the table it follows.
# fmt: off
_SHOWN: Final[dict[str, Mapping[str, str]]] = {
    "largest box": {"what": "largest box", "size": "224x224", "images": "64", "contender": "fastcam, packed"},
    "all boxes of maps": {"what": "all boxes of maps, with scores", "contender": "fastcam"},
    "localize": {
        "what": "localize, PAPER", "dtype": "float32", "images": "64", "size": "14x14x1024 to 224x224",
        "contender": "fastcam",
    },
    "TAP forward": {
        "what": "TAP forward", "dtype": "float32", "images": "64", "size": "14x14x1024", "contender": "fastcam"
    },
    "MaxBoxAccV2": {"what": "MaxBoxAccV2", "contender": "fastcam"},
    "PxAP": {"what": "PxAP", "contender": "fastcam"},
}
# fmt: on


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="what pytest-benchmark wrote")
    parser.add_argument("--history", type=Path, default=_RESULTS / "history.csv", help="the file to append to")
    parser.add_argument("--plot", type=Path, default=_RESULTS / "history.png", help="the picture to draw anew")
    chosen = parser.parse_args(arguments)
    append(chosen.history, lines_of(json.loads(chosen.results.read_text()), _commit()))
    plot(read(chosen.history), chosen.plot)


def lines_of(document: Mapping[str, Any], commit: str) -> list[Line]:
    """A line for each form of fastcam in each row of a run, beside the peer that comes closest."""
    told = document.get("machine_info", {}).get("fastcam", {})
    machine = {
        "date": told.get("date", ""),
        "commit": commit,
        "processor": told.get("processor", ""),
        "instruction_set": told.get("instruction set", ""),
    }
    lines = []
    for row in (one["extra_info"] for one in document["benchmarks"] if "contenders" in one.get("extra_info", {})):
        place = {name: str(row.get(name, "")) for name in ("group", "what", "data", "dtype", "size", "images")}
        for ours in (one for one in row["contenders"] if one["role"] == "fastcam"):
            line = machine | place | {"threads": str(ours["threads"]), "contender": ours["name"]}
            line |= {"us_per_image": f"{ours['us_per_image']:.4g}", "peer": "", "peer_us_per_image": "", "ratio": ""}
            if peers := peers_of(row, ours):
                ratio = row["times_faster"][ours["name"]][peers[0]["name"]]
                closest = f"{peers[0]['us_per_image']:.4g}"
                line |= {"peer": peers[0]["name"], "peer_us_per_image": closest, "ratio": f"{ratio:.4g}"}
            lines.append(line)
    return lines


def append(path: Path, lines: Iterable[Line]) -> None:
    """Add lines to a history, which begins with its header."""
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(lines)


def read(path: Path) -> list[Line]:
    """Return the lines of a history, the oldest first.

    Raises:
        ValueError: a file with other columns.
    """
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{path} must have the columns {', '.join(COLUMNS)}, got {reader.fieldnames}")
        return list(reader)


def plot(lines: Sequence[Line], path: Path) -> None:
    """Draw the ratios of a few rows over the runs, a colour for each processor."""
    from matplotlib.figure import Figure

    runs = list(dict.fromkeys((one["date"], one["commit"]) for one in lines))
    processors = list(dict.fromkeys(_processor(one) for one in lines))
    figure = Figure(figsize=(12, 6.5), layout="constrained")
    for axis, (title, wanted) in zip(figure.subplots(2, 3).flat, _SHOWN.items(), strict=True):
        shown = [one for one in lines if one["ratio"] and all(one[name] == wanted[name] for name in wanted)]
        for number, processor in enumerate(processors):
            for data, marker in (("smooth", "o"), ("noisy", "s")):
                own = [one for one in shown if _processor(one) == processor and one["data"].split()[0] == data]
                if own:
                    at = [runs.index((one["date"], one["commit"])) for one in own]
                    ratios = [float(one["ratio"]) for one in own]
                    axis.plot(at, ratios, f"{marker}-", color=f"C{number}", label=f"{processor}, {data}")
        axis.axhline(1, color="grey", linewidth=0.8)
        axis.set(title=title, yscale="log", ylabel="times faster than the closest peer")
        axis.set_xticks(range(len(runs)), [f"{date}\n{commit}" for date, commit in runs], fontsize=7)
        if axis.has_data() and shown:
            axis.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)


def _processor(line: Line) -> str:
    """The model's name and family, and what instructions were in use."""
    return f"{line['processor'].split(',')[0].removesuffix(')').replace(' (', ', ')} {line['instruction_set']}"


def _commit() -> str:
    """The commit that was measured, with a plus where files differ from it."""
    here = Path(__file__).parent

    def told(*words: str) -> str:
        return subprocess.run(("git", *words), cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return told("rev-parse", "--short", "HEAD") + ("+" if told("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


if __name__ == "__main__":
    main()
