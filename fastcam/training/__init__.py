"""Training: the loop, its configuration, and the methods of the field."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastcam.checkpoint import CheckpointError, read_checkpoint
    from fastcam.training.config import ConfigError, TrainingConfig, read_config
    from fastcam.training.engine import start_engine
    from fastcam.training.errors import DivergedError, TrainingError
    from fastcam.training.final import final_pass
    from fastcam.training.loop import train
    from fastcam.training.trained import Trained

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DivergedError",
    "Trained",
    "TrainingConfig",
    "TrainingError",
    "final_pass",
    "read_checkpoint",
    "read_config",
    "start_engine",
    "train",
]

# The command line reads the configuration for its options; the engine loads when something is trained.
_PLACES = {
    "fastcam.checkpoint": ("CheckpointError", "read_checkpoint"),
    "fastcam.training.config": ("ConfigError", "TrainingConfig", "read_config"),
    "fastcam.training.engine": ("start_engine",),
    "fastcam.training.errors": ("DivergedError", "TrainingError"),
    "fastcam.training.final": ("final_pass",),
    "fastcam.training.loop": ("train",),
    "fastcam.training.trained": ("Trained",),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    for module, names in _PLACES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'fastcam.training' has no attribute {name!r}")
