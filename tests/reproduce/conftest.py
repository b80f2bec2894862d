from dataclasses import replace

import pytest

from fastcam.data.synthetic import write_synthetic
from fastcam.training import TrainingConfig, start_engine


@pytest.fixture(scope="session")
def engine():
    return start_engine(device="cpu")


@pytest.fixture
def config(tmp_path):
    """A training that takes a moment."""
    write_synthetic(tmp_path / "birds", train=32, test=12, classes=2, size=32)
    return TrainingConfig(
        data=str(tmp_path / "birds"),
        model="vgg16",
        model_options={"width": 1 / 16},
        epochs=1,
        batch_size=16,
        resize=36,
        crop=32,
        workers=0,
    )


@pytest.fixture
def learning(config):
    """A training that learns something in a few steps."""
    options = {"width": 1 / 8}
    return replace(config, model="resnet50", model_options=options, epochs=8, batch_size=8, hold_out=0.25)
