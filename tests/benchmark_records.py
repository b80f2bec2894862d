"""Records of a benchmark with times made up, as the rows of ``bench/`` write them."""

from __future__ import annotations


def contender(name, role, us_per_image, threads=1):
    return {"name": name, "role": role, "threads": threads, "us_per_image": us_per_image}


def row(contenders, **told):
    """A record as `row.measure` writes it, whose ratios are those of the times."""
    times = {one["name"]: one["us_per_image"] for one in contenders}
    ours = [one["name"] for one in contenders if one["role"] == "fastcam"]
    faster = {a: {b: time / times[a] for b, time in times.items() if b != a} for a in ours}
    shared = {"data": "smooth", "size": "224x224", "images": 64, "dtype": "float32", "note": ""}
    return shared | {"contenders": contenders, "times_faster": faster} | told


def document(*records):
    benchmarks = [{"group": one["group"], "stats": {}, "extra_info": one} for one in records]
    return {"machine_info": {"fastcam": {"processor": "abacus", "cores": "2"}}, "benchmarks": benchmarks}


BOXES = row(
    [
        contender("fastcam, packed", "fastcam", 2.0),
        contender("fastcam, packed, polygon", "fastcam", 3.0),
        contender("findContours TREE", "peer", 39.0),
        contender("findContours EXTERNAL", "peer", 30.0),
        contender("connectedComponentsWithStats", "peer", 500.0),
    ],
    group="boxes",
    what="largest box",
)
LOSS = row(
    [
        contender("fastcam", "fastcam", 50.0),
        contender("PyTorch, eager", "peer", 800.0),
        contender("PyTorch, compiled", "peer", 40.0),
        contender("adaptive_avg_pool2d", "floor", 25.0),
    ],
    group="tap",
    what="TAP forward",
    size="14x14x1024",
)
