"""How the work is cut: what the host decides before a launch, also for tensors no test could hold."""

from __future__ import annotations

import pytest
import torch
from fastcam.kernels import activation, pooling
from fastcam.kernels.launch import aligned, cam_tile, power_of_two, tap_tile

from fastcam.reference.pooling import shape_of_kept


@pytest.mark.parametrize(("n", "wanted"), [(0, 1), (1, 1), (2, 2), (3, 4), (49, 64), (64, 64), (12544, 16384)])
def test_power_of_two(n, wanted):
    assert power_of_two(n) == wanted


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("side", [1, 2, 7, 14, 28, 56, 112, 113, 300])
def test_pooling_tiles_fit_their_registers_and_cover_everything(side, itemsize, last):
    tile = tap_tile(side * side, itemsize, last)
    turn = tile.groups * tile.width
    assert 8 * tile.bytes >= side * side
    assert tile.bytes % turn == 0
    assert tile.bytes == turn or side > (28 if last else 56)
    assert tile.rows * 8 * turn <= 128 * 32 * tile.warps  # values a thread holds, of which a quarter is never there
    assert 1 <= tile.warps <= 16
    across = tile.rows if last else tile.width
    assert across % tile.vector == 0
    assert last or side * side % tile.vector == 0  # or a channel would begin within a vector
    for n, channels in ((1, 1), (3, 100), (256, 2048)):
        covered = tile.programs(n, channels) * tile.rows
        assert covered >= n * channels
        assert covered - n * channels < tile.rows * (n if last else 1)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 7), (14, 14), (32, 32), (33, 31), (40, 40), (112, 112)])
def test_the_bits_are_laid_out_as_the_reference_says(height, width, last):
    x = torch.empty((2, 3, height, width), memory_format=torch.channels_last if last else torch.contiguous_format)
    tile = tap_tile(height * width, 4, last)
    last &= not x.is_contiguous()
    assert shape_of_kept(x) == ((2, tile.bytes, 3) if last else (2, 3, tile.bytes))


def test_the_split_of_the_channels_depends_on_the_size_of_the_map_alone():
    assert cam_tile(196, False).rows == 64
    assert cam_tile(49, False).rows == 256
    assert cam_tile(196, True).rows == 256


def test_the_largest_grid_stays_within_cudas():
    # 2^33 elements: 4.3e7 channels of 14x14.
    n, channels = 2**33 // (1024 * 196), 1024
    for last in (False, True):
        assert tap_tile(196, 2, last).programs(n, channels) < 2**31


class Recorder:
    """Stands in for a kernel and keeps what it is launched with."""

    def __init__(self):
        self.tensors = []

    def __getitem__(self, grid):
        return lambda *args, **_: self.tensors.append([arg for arg in args if isinstance(arg, torch.Tensor)])


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_a_kernel_that_adds_reads_aligned_memory_only(form, monkeypatch):
    # An image of (3, 14, 14) float16 takes 1176 bytes: every other one begins in the middle of 16 bytes.
    features = torch.randn(2, 3, 14, 14).to(torch.float16).contiguous(memory_format=form)[1:]
    weight = torch.randn(8, 3).to(torch.float16)[4:5]
    assert features.data_ptr() % 16 == weight.data_ptr() % 16 == 8
    partial_sums, forward = Recorder(), Recorder()
    monkeypatch.setattr(activation, "_partial_sums", partial_sums)
    monkeypatch.setattr(pooling, "_forward", forward)
    activation.cam(features, weight, torch.zeros(1, dtype=torch.int64), True, torch.empty(1, 14, 14))
    pooling.forward(features, 0.1, torch.empty(1, 3, dtype=torch.float16))
    (read, rows, *_), (pooled, *_) = *partial_sums.tensors, *forward.tensors
    for found, wanted in ((read, features), (pooled, features), (rows, weight)):
        assert found.data_ptr() % 16 == 0
        assert torch.equal(found, wanted)
        assert found.stride() == wanted.stride()


def test_aligned_memory_is_not_copied():
    x = torch.randn(4, 8)
    assert aligned(x) is x
    assert aligned(x[1:]).data_ptr() == x[1:].data_ptr()
