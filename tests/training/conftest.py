import pytest

from fastcam.data.synthetic import write_synthetic
from fastcam.training import TrainingConfig, start_engine


@pytest.fixture(scope="session")
def birds(tmp_path_factory):
    """A small data set in the layout of CUB-200-2011."""
    folder = tmp_path_factory.mktemp("data") / "birds"
    write_synthetic(folder, train=48, test=16, classes=2, size=32)
    return folder


@pytest.fixture(scope="session")
def engine():
    return start_engine(device="cpu")


@pytest.fixture
def config(birds):
    """A training that takes a moment."""

    def make(**changes):
        settings = {
            "data": str(birds),
            "model": "vgg16",
            "model_options": {"width": 1 / 16},
            "pooling": "gap",
            "epochs": 2,
            "batch_size": 16,
            "lr": 0.01,
            "resize": 36,
            "crop": 32,
            "workers": 0,
            "hold_out": 0.25,
        }
        return TrainingConfig(**{**settings, **changes})

    return make
