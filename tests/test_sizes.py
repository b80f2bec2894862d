"""Sizes as arguments: one for all images, or one an image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastcam.sizes import checked_sizes

ONE = [
    (5, 6),
    [5, 6],
    torch.Size([5, 6]),
    np.array([5, 6]),
    torch.tensor([5, 6]),
    (np.int64(5), np.int32(6)),
    (torch.tensor(5), torch.tensor(6)),
    torch.ones(5, 6).shape,
]


@pytest.mark.parametrize("size", ONE, ids=lambda size: type(size).__name__)
@pytest.mark.parametrize("images", [0, 1, 2, 9])
def test_one_size_for_all_images(size, images):
    found = checked_sizes(size, images)
    assert found == (5, 6)
    assert all(type(length) is int for length in found)


EACH = [
    [(5, 6), (7, 8)],
    ((5, 6), (7, 8)),
    [[5, 6], np.array([7, 8])],
    np.array([[5, 6], [7, 8]]),
    torch.tensor([[5, 6], [7, 8]]),
    [torch.Size([5, 6]), torch.tensor([7, 8])],
]


@pytest.mark.parametrize("size", EACH, ids=lambda size: type(size).__name__)
def test_a_size_for_each_of_two_images_is_not_taken_for_one_size(size):
    assert checked_sizes(size, 2) == [(5, 6), (7, 8)]


def test_a_size_for_each_of_one_or_none():
    assert checked_sizes([(5, 6)], 1) == [(5, 6)]
    assert checked_sizes([], 0) == []


@pytest.mark.parametrize(
    ("size", "images", "error", "got"),
    [
        (5, 2, TypeError, "got 5"),
        (None, 2, TypeError, "got None"),
        (2.5, 2, TypeError, "got 2.5"),
        ("ab", 2, TypeError, "got 'a'"),
        ((5.0, 6), 2, TypeError, r"in whole pixels, got \[5.0, 6\]"),
        (np.array([5.0, 6.0]), 2, TypeError, "in whole pixels, got"),
        ([(5, 6), (7.5, 8)], 2, TypeError, r"in whole pixels, got \(7.5, 8\)"),
        ([(5, 6), 7], 2, TypeError, "got 7"),
        ((5, 6, 7), 2, ValueError, "got 3 of them"),
        ((5,), 2, ValueError, "got 1 of them"),
        ([], 2, ValueError, "got 0 of them"),
        ([(5, 6)], 2, ValueError, "got 1 of them"),
        ([(5, 6), (7, 8)], 3, ValueError, "got 2 of them"),
        ([(5, 6), (7, 8, 9)], 2, ValueError, r"got \(7, 8, 9\)"),
        ((0, 6), 2, ValueError, r"each at least 1 .* got \(0, 6\)"),
        ((5, -1), 2, ValueError, r"each at least 1 .* got \(5, -1\)"),
        ([(5, 6), (7, 0)], 2, ValueError, r"each at least 1 .* got \(7, 0\)"),
        ((1 << 16, 1 << 15), 2, ValueError, r"at most 2\^30 pixels in all, got \(65536, 32768\)"),
    ],
    ids=str,
)
def test_a_bad_size_is_named(size, images, error, got):
    with pytest.raises(error, match=rf"size must be \(H, W\), or one \(H, W\) for each of the {images} images.*{got}"):
        checked_sizes(size, images)


def test_the_largest_size_is_allowed():
    assert checked_sizes((1 << 15, 1 << 15), 1) == (1 << 15, 1 << 15)
