"""Boxes from masks as users hand them in: plain, packed, of NumPy, from many threads, after a fork."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import random_masks, smooth_maps

import fastcam

MASKS = np.stack([mask for seed in range(2) for mask in random_masks(37, 70, seed).values()])
WANTED = fastcam.boxes_from_masks(MASKS)


def assert_same(found, wanted):
    for name in ("boxes", "areas", "image"):
        a, b = getattr(found, name), getattr(wanted, name)
        assert (a is None) == (b is None)
        assert a is None or torch.equal(a, b)


def test_boxes_are_float32_and_areas_fit_their_kind():
    assert (WANTED.boxes.dtype, WANTED.areas.dtype, WANTED.image) == (torch.float32, torch.int64, None)
    assert WANTED.boxes.shape == (len(MASKS), 4)
    found = fastcam.boxes_from_masks(MASKS, keep="all", area="polygon")
    assert (found.boxes.dtype, found.areas.dtype, found.image.dtype) == (torch.float32, torch.float64, torch.int64)
    assert len(found.boxes) == len(found.areas) == len(found.image)


FORMS = {
    "bool tensor": torch.from_numpy,
    "uint8 tensor": lambda m: torch.from_numpy(m).to(torch.uint8),
    "any uint8 but zero": lambda m: torch.from_numpy(m).to(torch.uint8) * torch.arange(1, 71, dtype=torch.uint8),
    "uint8 array": lambda m: m.astype(np.uint8) * 255,
    "packed": lambda m: fastcam.PackedMasks.pack(torch.from_numpy(m)),
    "packed from an array": fastcam.PackedMasks.pack,
    "strided tensor": lambda m: torch.from_numpy(m).repeat_interleave(2, 2)[:, :, ::2],
    "transposed tensor": lambda m: torch.from_numpy(m).mT.contiguous().mT,
    "strided array": lambda m: np.repeat(m, 2, axis=1)[:, ::2],
    "array read backwards": lambda m: m[:, ::-1, ::-1].copy()[:, ::-1, ::-1],
    "Fortran array": np.asfortranarray,
    "read-only array": lambda m: np.frombuffer(m.tobytes(), bool).reshape(m.shape),
    "packed, garbage beyond": lambda m: garbage(fastcam.PackedMasks.pack(m)),
    "packed, strided": lambda m: strided(fastcam.PackedMasks.pack(m)),
}


def garbage(packed):
    bits = packed.bits.clone()
    bits[..., -1] |= -1 << packed.size[1] % 64
    return fastcam.PackedMasks(bits, packed.size)


def strided(packed):
    return fastcam.PackedMasks(packed.bits.mT.contiguous().mT, packed.size)


@pytest.mark.parametrize("keep", ["largest", "all"])
@pytest.mark.parametrize("area", ["pixels", "polygon"])
@pytest.mark.parametrize("form", FORMS)
def test_masks_in_any_form(form, area, keep):
    wanted = fastcam.boxes_from_masks(torch.from_numpy(MASKS), keep=keep, area=area)
    assert_same(fastcam.boxes_from_masks(FORMS[form](MASKS), keep=keep, area=area), wanted)


def test_masks_are_not_changed():
    masks = torch.from_numpy(MASKS).to(torch.uint8)
    fastcam.boxes_from_masks(masks, area="polygon")
    assert torch.equal(masks, torch.from_numpy(MASKS).to(torch.uint8))


def test_one_mask_is_a_batch_of_one():
    found = fastcam.boxes_from_masks(MASKS[3])
    assert_same(found, fastcam.boxes_from_masks(MASKS[3:4]))
    assert found.boxes.shape == (1, 4)


@pytest.mark.parametrize("area", ["pixels", "polygon"])
@pytest.mark.parametrize(
    "masks", [np.zeros((0, 3, 5), bool), fastcam.PackedMasks(torch.zeros(0, 3, 2).long(), (3, 70))]
)
def test_no_masks(masks, area):
    assert fastcam.boxes_from_masks(masks, area=area).boxes.shape == (0, 4)
    found = fastcam.boxes_from_masks(masks, keep="all", area=area)
    assert (found.boxes.shape, found.areas.shape, found.image.shape) == ((0, 4), (0,), (0,))


def test_empty_masks_have_an_empty_box_and_no_components():
    masks = torch.zeros(3, 4, 5, dtype=torch.bool)
    found = fastcam.boxes_from_masks(masks)
    assert (found.boxes.tolist(), found.areas.tolist()) == ([[0, 0, 0, 0]] * 3, [0, 0, 0])
    assert fastcam.boxes_from_masks(masks, keep="all").image.tolist() == []


@pytest.mark.parametrize("area", ["pixels", "polygon"])
def test_a_mask_alone_and_in_a_batch_has_the_same_box(area):
    together = fastcam.boxes_from_masks(MASKS, area=area)
    alone = [fastcam.boxes_from_masks(mask, area=area) for mask in MASKS]
    assert torch.equal(torch.cat([found.boxes for found in alone]), together.boxes)
    assert torch.equal(torch.cat([found.areas for found in alone]), together.areas)


def test_packing_and_unpacking():
    packed = fastcam.PackedMasks.pack(MASKS)
    assert (len(packed), packed.size, packed.bits.shape) == (len(MASKS), (37, 70), (len(MASKS), 37, 2))
    assert torch.equal(packed.unpack(), torch.from_numpy(MASKS))
    assert fastcam.PackedMasks.pack(MASKS[0]).bits.shape == (1, 37, 2)


def large_batch():
    """Enough work to wake the pool of threads: small batches run on the caller's."""
    return smooth_maps(400, (200, 200), seed=0) > 0.6


def test_many_threads_at_once_get_the_same_answers(restored_threads):  # noqa: ARG001
    torch.set_num_threads(2)
    masks = large_batch()
    wanted = fastcam.boxes_from_masks(masks, area="polygon")

    def ask(i):
        part = slice(i % 7, None)
        found = fastcam.boxes_from_masks(masks[part], area="polygon")
        return torch.equal(found.boxes, wanted.boxes[part]) and torch.equal(found.areas, wanted.areas[part])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(64)))


def answer(connection, masks):
    connection.send(fastcam.boxes_from_masks(masks).boxes.tolist())


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="Linux alone lists threads")
@pytest.mark.skipif(not torch.backends.openmp.is_available(), reason="PyTorch has threads of another kind")
def test_work_runs_on_the_threads_of_pytorch(restored_threads):  # noqa: ARG001
    def threads():
        return set(os.listdir("/proc/self/task"))

    def busy():
        """How long each thread has computed, in ticks."""
        fields = {one: Path("/proc/self/task", one, "stat").read_text().rpartition(")")[2].split() for one in threads()}
        return {one: int(field[11]) + int(field[12]) for one, field in fields.items()}

    torch.set_num_threads(2)
    masks = fastcam.PackedMasks.pack(torch.rand(1, 4096, 4096, generator=torch.Generator().manual_seed(0)) < 0.5)
    torch.rand(1 << 22).sum()
    before = threads()
    start = busy()
    for _ in range(20):
        fastcam.boxes_from_masks(masks)
    end = busy()
    assert threads() == before
    assert sum(end[one] > start[one] for one in before) >= 2


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_a_forked_child_starts_threads_of_its_own(restored_threads):  # noqa: ARG001
    torch.set_num_threads(2)
    masks = large_batch()
    wanted = fastcam.boxes_from_masks(masks).boxes.tolist()
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=answer, args=(there, masks), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads around is what is tested
        child.start()
    try:
        assert here.poll(60), "the child waits for threads that it does not have"
        assert here.recv() == wanted
    finally:
        child.kill()
        child.join()
    assert fastcam.boxes_from_masks(masks).boxes.tolist() == wanted


WORDS = torch.zeros(1, 3, 1, dtype=torch.int64)
MASK = torch.ones(1, 3, 5, dtype=torch.bool)
BAD = [
    (lambda: fastcam.boxes_from_masks(MASK.float()), TypeError, "masks must be bool or uint8, got torch.float32"),
    (lambda: fastcam.boxes_from_masks(MASK.long().numpy()), TypeError, "masks must be bool or uint8, got torch.int64"),
    (lambda: fastcam.boxes_from_masks("masks"), TypeError, "masks must be a tensor, an array or PackedMasks, got str"),
    (lambda: fastcam.boxes_from_masks(None), TypeError, "masks must be a tensor, an array or .* got NoneType"),
    (lambda: fastcam.boxes_from_masks(MASK[None]), ValueError, r"masks must be \(N, H, W\) .* got \(1, 1, 3, 5\)"),
    (lambda: fastcam.boxes_from_masks(MASK[0, 0]), ValueError, r"masks must be \(N, H, W\) .* got \(5,\)"),
    (lambda: fastcam.boxes_from_masks(MASK[:, :0]), ValueError, r"masks must be .* at least 1, got \(1, 0, 5\)"),
    (lambda: fastcam.boxes_from_masks(MASK, keep="both"), ValueError, "keep must be .*'largest', 'all', got 'both'"),
    (lambda: fastcam.boxes_from_masks(MASK, area="px"), ValueError, "area must be .*'pixels', 'polygon', got 'px'"),
    (lambda: fastcam.boxes_from_masks(MASK, connectivity=6), ValueError, "connectivity must be one of 4, 8, got 6"),
    (lambda: fastcam.boxes_from_masks(MASK, connectivity=8.0), ValueError, "connectivity must be .* got 8.0"),
    (lambda: fastcam.PackedMasks.pack(MASK.float()), TypeError, "masks must be bool or uint8, got torch.float32"),
    (lambda: fastcam.PackedMasks(WORDS.int(), (3, 5)), TypeError, "bits must be an int64 tensor, got torch.int32"),
    (lambda: fastcam.PackedMasks(WORDS.numpy(), (3, 5)), TypeError, "bits must be an int64 tensor, got ndarray"),
    (
        lambda: fastcam.PackedMasks(WORDS, (3, 65)),
        ValueError,
        r"bits must be \(N, 3, 2\) for size \(3, 65\), got \(1, 3, 1\)",
    ),
    (lambda: fastcam.PackedMasks(WORDS[0], (3, 5)), ValueError, r"bits must be \(N, 3, 1\) .* got \(3, 1\)"),
    (
        lambda: fastcam.PackedMasks(WORDS, (3, 0)),
        ValueError,
        r"size must be \(H, W\), each at least 1 and .*, got \(3, 0\)",
    ),
    (lambda: fastcam.PackedMasks(WORDS, (3,)), ValueError, r"size must be \(H, W\), each at least 1, got \(3,\)"),
    (lambda: fastcam.PackedMasks(WORDS, 3), TypeError, r"size must be \(H, W\).*, got 3"),
    (lambda: fastcam.PackedMasks(WORDS, (3.0, 5.0)), TypeError, r"size must be \(H, W\).*, got \(3.0, 5.0\)"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_a_bad_argument_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
