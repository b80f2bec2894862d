"""What the metrics are made from: torchmetrics, and sums that survive a checkpoint."""

from __future__ import annotations

import torch

try:
    from torchmetrics import Metric
except ModuleNotFoundError as error:
    if error.name != "torchmetrics":
        raise
    raise ImportError("fastcam.metrics needs torchmetrics: pip install 'fastcam[metrics]'") from error
# RuntimeError: of a torchvision without its operators, which torchmetrics imports where it is there.
except (ImportError, RuntimeError) as error:
    raise ImportError(f"fastcam.metrics needs torchmetrics, which cannot be imported: {error}") from error

__all__ = ["SumMetric"]


class SumMetric(Metric):
    """A metric whose states are int64 sums: exact, of fixed size, added over processes, and part of ``state_dict``."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    def add_sum(self, name: str, *shape: int) -> None:
        """Add a state of zeros."""
        self.add_state(name, torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum", persistent=True)
