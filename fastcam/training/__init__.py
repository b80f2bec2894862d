"""Training: the loop, its configuration, and the methods of the field."""

from fastcam.training.checkpoint import CheckpointError, read_checkpoint
from fastcam.training.config import ConfigError, TrainingConfig, read_config
from fastcam.training.engine import start_engine
from fastcam.training.loop import Trained, TrainingError, train

__all__ = [
    "CheckpointError",
    "ConfigError",
    "Trained",
    "TrainingConfig",
    "TrainingError",
    "read_checkpoint",
    "read_config",
    "start_engine",
    "train",
]
