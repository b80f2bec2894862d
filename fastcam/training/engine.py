"""Where a training runs: one process, or several that ``torchrun`` started, on one machine or many.

The engine is Lightning Fabric. It puts the network on its device, computes in the precision asked for, and averages
gradients over processes; the loop stays ours, a plain one. Hugging Face's Accelerate does the same, but brings the
client of a model hub and reads settings from a file in the home folder and from environment variables, which a
training should not depend on.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fastcam.processes import told
from fastcam.training.config import ConfigError, Precision

try:
    from lightning_fabric import Fabric
except ImportError as error:
    raise ImportError('fastcam.training needs Lightning Fabric: pip install "fastcam[training]"') from error

__all__ = ["Fabric", "first_of_machine", "start_engine"]


def start_engine(precision: Precision = "32-true", device: str = "auto") -> Fabric:
    """Start the engine in this process and, under ``torchrun``, join the others.

    Args:
        precision: of the computation.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"``: cuda where there is one.

    Returns:
        The engine, launched.

    Raises:
        ConfigError: a device or a precision that this machine does not have.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device must be 'auto', 'cpu' or 'cuda', got {device!r}")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device='cuda', but PyTorch sees no GPU here")
    if device == "cpu" and precision == "16-mixed":
        raise ConfigError("precision='16-mixed' needs a GPU; on a CPU there is 'bf16-mixed'")
    processes = told()
    engine = Fabric(
        accelerator=device,
        devices=processes.local_count,
        num_nodes=processes.count // processes.local_count,
        strategy="ddp" if processes.count > 1 else "auto",
        precision=precision,
    )
    with warnings.catch_warnings():
        # It suggests settings for machines it guesses about.
        warnings.simplefilter("ignore")
        engine.launch()
    return engine


@contextmanager
def first_of_machine(engine: Fabric) -> Iterator[None]:
    """Let the first process of each machine go ahead, with what only one can do: writing files that all read."""
    with engine.rank_zero_first(local=True):
        yield
