"""An evaluation from end to end: 50,000 small maps of one .npz, V1 and V2; a process of its own, which prints JSON."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Final

import numpy as np
import torch
from maps import cell_maps
from memory import peak_memory

from fastcam.metrics import MaxBoxAcc, MaxBoxAccV2, sweep

_DISTINCT: Final = 2000
_BATCH: Final = 256
_SIZE: Final = (224, 224)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "maps.npz"
        np.savez(file, maps=cell_maps("smooth", _DISTINCT, 14).numpy()[np.arange(chosen.maps) % _DISTINCT])
        print(json.dumps(evaluate(file)))


def evaluate(file: Path) -> dict[str, float]:
    """Seconds in all, and the memory in MiB that the maps after the first tenth added to the peak."""
    v1, v2 = MaxBoxAcc(), MaxBoxAccV2()
    random = np.random.default_rng(0)
    start = perf_counter()
    maps = np.load(file)["maps"]
    early = 0
    for begin in range(0, len(maps), _BATCH):
        batch = maps[begin : begin + _BATCH]
        corners = np.sort(random.integers(0, _SIZE[0], (len(batch), 1, 2, 2)), axis=2)
        swept = sweep(batch, corners.reshape(len(batch), 1, 4), size=_SIZE)
        v1.update(swept)
        v2.update(swept)
        if begin <= len(maps) // 10:
            early = peak_memory()
    accuracies = {"V1": v1.compute()["max_box_acc"].item(), "V2": v2.compute()["max_box_acc"].item()}
    seconds = perf_counter() - start
    return {"seconds": seconds, "grown_mib": (peak_memory() - early) / 2**20, **accuracies}


if __name__ == "__main__":
    main()
