"""The definition of what the threshold keeps."""

from __future__ import annotations

import torch

from fastcam import PAPER
from fastcam.reference.masks import kept


def test_levels_are_truncated_and_so_is_their_threshold():
    maps = torch.tensor([[[0.0, 0.1, 0.499, 1.0]]])
    full, threshold, mask = kept(maps, (1, 4), PAPER.replace(quantize=True, percentile=100, threshold=0.1))
    assert full.tolist() == [[[0, 25, 127, 255]]]
    assert threshold.item() == 25
    assert mask.tolist() == [[[False, False, True, True]]]


def test_a_value_equal_to_the_threshold_is_not_kept():
    maps = torch.tensor([[[0.5, 0.25, 1.0]]])
    assert kept(maps, (1, 3), PAPER.replace(percentile=100, threshold=0.5))[2].tolist() == [[[False, False, True]]]


def test_a_negative_reference_is_taken_literally():
    maps = torch.tensor([[[-4.0, -2.0, -1.0]]])
    found = kept(maps, (1, 3), PAPER.replace(percentile=100, threshold=0.5))
    assert found[1].item() == -0.5
    assert found[2].sum() == 0
