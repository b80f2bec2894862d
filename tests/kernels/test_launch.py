"""How the work is cut: what the host decides before a launch, also for tensors no test could hold."""

from __future__ import annotations

import pytest
from fastcam.kernels.launch import cam_tile, power_of_two, tap_tile


@pytest.mark.parametrize(("n", "wanted"), [(0, 1), (1, 1), (2, 2), (3, 4), (49, 64), (64, 64), (12544, 16384)])
def test_power_of_two(n, wanted):
    assert power_of_two(n) == wanted


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("side", [1, 2, 7, 14, 28, 56, 112, 300])
def test_pooling_tiles_fit_their_registers_and_cover_everything(side, last):
    tile = tap_tile(side * side, last)
    assert tile.span >= 32  # a word of bits
    assert tile.rows * tile.span // (32 * tile.warps) <= 32  # values a thread holds
    assert tile.span >= side * side or tile.span == (128 if last else 4096)
    for n, channels in ((1, 1), (3, 100), (256, 2048)):
        covered = tile.programs(n, channels) * tile.rows
        assert covered >= n * channels
        assert covered - n * channels < tile.rows * (n if last else 1)


def test_the_split_of_the_channels_depends_on_the_size_of_the_map_alone():
    assert cam_tile(196, False).rows == 64
    assert cam_tile(49, False).rows == 256
    assert cam_tile(196, True).rows == 256


def test_the_largest_grid_stays_within_cudas():
    # 2^33 elements: 4.3e7 channels of 14x14.
    n, channels = 2**33 // (1024 * 196), 1024
    for last in (False, True):
        assert tap_tile(196, last).programs(n, channels) < 2**31
