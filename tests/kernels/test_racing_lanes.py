"""The union-find of kernels/labels.py on a machine that reorders all that it may.

Lanes run in warps of random speed between barriers, and a load gives any value that a place has had since the last
barrier; atomics act on the newest. What the steps compute from runs is written here anew, one lane at a time.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
from cases import adversarial_masks, random_masks

from fastcam.reference import components as reference

SHAPES = [(7, 9), (12, 20), (16, 16), (5, 33), (20, 7)]


class Memory:
    """Numbers that remember what they were since the last barrier."""

    def __init__(self, values, rng):
        self.newest, self.rng = list(values), rng
        self.barrier()

    def barrier(self):
        self.seen = [[value] for value in self.newest]

    def load(self, i):
        return self.rng.choice(self.seen[i])

    def store(self, i, value):
        self.newest[i] = value
        self.seen[i].append(value)

    def atomic_min(self, i, value):
        before = self.newest[i]
        self.store(i, min(before, value))
        return before


def raced(warps, rng):
    """Run generators to their ends, a step of any of them at a time; returns what they returned."""
    running, results = dict(enumerate(warps)), {}
    while running:
        i = rng.choice(list(running))
        try:
            next(running[i])
        except StopIteration as end:
            results[i] = end.value
            del running[i]
    return [results[i] for i in sorted(results)]


def flatten(memory, warps, rng):
    def run(lanes):
        changed = False
        for j in lanes:
            p = memory.load(j)
            yield
            q = memory.load(p)
            yield
            r = memory.load(q)
            yield
            if r != p:
                memory.store(j, r)
                changed = True
                yield
        return changed

    changed = True
    while changed:
        memory.barrier()
        changed = any(raced([run(lanes) for lanes in warps], rng))


def join(memory, warps, flagged, rng):
    """Join j and j + 1 for every flagged j."""

    def run(lanes, pairs):
        loaded, left = {}, {}
        for j in lanes:
            if j in pairs:
                loaded[j] = (memory.load(pairs[j][0]), memory.load(pairs[j][1]))
                yield
        for j, (p, q) in loaded.items():
            if p == q:
                continue
            if (p, q) != pairs[j]:
                left[j] = (p, q)
                continue
            old = memory.atomic_min(max(p, q), min(p, q))
            yield
            if old != max(p, q):
                left[j] = (old, min(p, q))
        return left

    pairs = {j: (j, j + 1) for j in flagged}
    while pairs:
        memory.barrier()
        pairs = {j: pair for left in raced([run(lanes, pairs) for lanes in warps], rng) for j, pair in left.items()}


def runs_of(mask):
    """(y, begin, end) of every run, in raster order."""
    runs = []
    for y, row in enumerate(mask):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], row.astype(np.int8), [0]))))
        runs += [(y, begin, end) for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)]
    return runs


def touching(run, others, reach):
    return [i for i, (_, begin, end) in others if begin < run[2] + reach and run[1] < end + reach]


def roots_of(links, flagged, width, rng):
    """The roots of numbers with a first parent each, joined with the next one where flagged."""
    memory = Memory(links, rng)
    warps = [range(i, min(i + width, len(links))) for i in range(0, len(links), width)]
    flatten(memory, warps, rng)
    join(memory, warps, flagged, rng)
    flatten(memory, warps, rng)
    return memory.newest


def labelled(mask, connectivity, warp, rng):
    """The runs, the roots of their components, and the roots of the background between the runs."""
    reach, runs = int(connectivity == 8), runs_of(mask)
    by_row = {y: [(i, run) for i, run in enumerate(runs) if run[0] == y] for y in range(-1, len(mask) + 1)}
    links, joined, is_open = [], [], []
    for j, run in enumerate(runs):
        links.append(min([j, *touching(run, by_row[run[0] - 1], reach)]))
        below = set(touching(run, by_row[run[0] + 1], reach))
        if not below:
            is_open.append(j)
        neighbour = j + 1 < len(runs) and runs[j + 1][0] == run[0]
        if neighbour and below & set(touching(runs[j + 1], by_row[run[0] + 1], reach)):
            joined.append(j)
    ground = [0]
    for j in range(1, len(runs) + 1):
        inner = j < len(runs) and runs[j - 1][0] == runs[j][0] and runs[j][0] > 0
        if not inner:
            ground.append(0)
            continue
        y, begin, end = runs[j][0], runs[j - 1][2], runs[j][1]
        above = by_row[y - 1]
        stretches = zip([-1, *(r[2] for _, r in above)], [*(r[1] for _, r in above), mask.shape[1] + 1], strict=True)
        first = next(k for k, (_, stop) in enumerate(stretches) if stop > begin - (1 - reach))
        starts_in = above[first - 1][1][2] if first else -1
        border = first in (0, len(above))
        number = 0 if border else above[first][0]
        ground.append(number if starts_in < end + (1 - reach) else j)
    return runs, roots_of(links, joined, warp, rng), roots_of(ground, is_open, warp, rng)


def check(mask, connectivity, warp, rng):
    runs, roots, ground = labelled(mask, connectivity, warp, rng)
    _, labels = reference.labelled_components(mask, connectivity)
    first_run = {}
    for j, (y, begin, _) in enumerate(runs):
        assert roots[j] == first_run.setdefault(labels[y, begin], j)
    outside = np.pad(~mask, 1, constant_values=True)
    _, regions = reference.labelled_components(outside, 12 - connectivity)
    found = {}
    for j, (y, begin, end) in enumerate(runs):
        for number, x in ((j, begin), (j + 1, end + 1)):
            region = regions[y + 1, x]
            assert (ground[number] == 0) == (region == regions[0, 0])
            assert found.setdefault(region, ground[number]) == ground[number]
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_components_do_not_depend_on_who_is_first(shape):
    rng = random.Random(shape[0])
    masks = {**adversarial_masks(*shape), **random_masks(*shape, shape[1])}
    for mask in masks.values():
        for connectivity in (4, 8):
            check(mask, connectivity, rng.choice([1, 3, 8]), rng)


@pytest.mark.long
def test_thousands_of_masks_however_lanes_run():
    for seed in range(100):
        rng = random.Random(seed)
        shape = rng.choice(SHAPES)
        for mask in {**adversarial_masks(*shape), **random_masks(*shape, seed)}.values():
            for connectivity in (4, 8):
                check(mask, connectivity, rng.choice([1, 3, 8]), rng)
