"""Fifty thousand score maps from one archive."""

import resource
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torchmetrics")

from small_datasets import metadata

from fastcam.data import read_metadata
from fastcam.evaluation.score_maps import ScoreMaps, writing_score_maps
from fastcam.evaluation.score_pass import evaluate_score_maps
from fastcam.evaluation.settings import Settings
from fastcam.evaluation.truth import ground_truth
from fastcam.inputs import RESIZE

COUNT = 50_000
STATM = Path("/proc/self/statm")


@pytest.mark.long
@pytest.mark.skipif(not STATM.exists(), reason="reads the memory held from /proc")
def test_memory_stays_flat(tmp_path):
    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.hanning(14), np.hanning(14))
    names = [f"val/{number:08}.jpg" for number in range(COUNT)]
    with writing_score_maps(tmp_path / "maps.npz") as writer:
        for name in names:
            shift = rng.integers(-4, 5, 2)
            writer.write(name, (np.roll(smooth, shift, (0, 1)) + 0.02 * rng.random((14, 14))).astype(np.float32))
    metadata(tmp_path, {name: (0, (500, 400), ["100,80,350,300"]) for name in names})
    split = read_metadata(tmp_path)
    truth = ground_truth(split, RESIZE)
    held = []

    def look(_):
        held.append(int(STATM.read_text().split()[1]) * resource.getpagesize() / 2**20)

    started = time.perf_counter()
    done = evaluate_score_maps(split, ScoreMaps(tmp_path / "maps.npz"), truth, Settings(workers=1), on_progress=look)
    print(f"\n{COUNT} maps, V1 and V2: {time.perf_counter() - started:.0f} s, {held[0]:.0f} to {held[-1]:.0f} MiB")  # noqa: T201
    assert int(done.largest.images) == COUNT
    # After the first tenth nothing is added but what the allocator keeps.
    assert held[-1] - held[len(held) // 10] < 30
