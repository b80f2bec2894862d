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
