"""From pictures to inputs."""

import numpy as np
import pytest
import torch

from fastcam.models import Preprocessing


def test_normalization():
    step = Preprocessing(size=(2, 3), mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    inputs = step(np.full((2, 3, 3), 255, np.uint8))
    assert inputs.dtype == torch.float32
    assert torch.equal(inputs, torch.tensor([1.0, 3.0, 0.5])[:, None, None].expand(3, 2, 3))


def test_the_whole_picture_is_kept():
    picture = np.zeros((100, 300, 3), np.uint8)
    picture[:, :30], picture[:, -30:] = 255, 255
    small = Preprocessing(size=(20, 20), mean=(0, 0, 0), std=(1, 1, 1))(picture)
    assert (small[:, :, [0, -1]] > 0.95).all()
    assert (small[:, :, 4:-4] < 0.05).all()


def test_shrinking_is_antialiased():
    checkerboard = (np.indices((200, 200)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    small = Preprocessing(size=(50, 50), mean=(0, 0, 0), std=(1, 1, 1))(checkerboard)
    assert (small - 0.5).abs().max() < 0.05


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": (0, 224)}, r"size must be \(H, W\), at least 1 each, got \(0, 224\)"),
        ({"mean": (0.5, 0.5)}, "mean and std must have three values each"),
        ({"std": (1.0, 1.0, 0.0)}, "std must be positive"),
        ({"std": (1.0, 1.0, float("nan"))}, "std must be positive"),
    ],
)
def test_bad_fields(fields, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**fields)
