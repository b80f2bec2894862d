"""Top-k classification accuracy, torchmetrics' own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy

from fastcam.arrays import ArrayLike, as_tensor
from fastcam.metrics.arguments import checked_count
from fastcam.metrics.metric import RecordingMetric

__all__ = ["TopKAccuracy"]


class TopKAccuracy(RecordingMetric, MulticlassAccuracy):
    """``torchmetrics.classification.MulticlassAccuracy`` with the average that image classification reports.

    Args:
        k: the true class must be among the k highest scores.
        num_classes: how many classes there are.
        **kwargs: of ``MulticlassAccuracy``.

    ``update(scores, labels)`` takes (N, num_classes) and (N,), tensors or arrays. ``compute()`` gives a fraction in
    [0, 1]; NaN before the first image. Its counts are part of ``state_dict``, as those of the other metrics.

    Raises:
        ValueError: ``k`` below 1 or above ``num_classes``.

    Example:
        >>> import torch
        >>> from fastcam.metrics import TopKAccuracy
        >>> metric = TopKAccuracy(k=2, num_classes=3)
        >>> metric.update(torch.tensor([[0.1, 0.2, 0.7], [0.5, 0.4, 0.1]]), torch.tensor([1, 2]))
        >>> metric.compute().item()
        0.5
    """

    def __init__(self, k: int = 1, *, num_classes: int, **kwargs: Any) -> None:  # noqa: ANN401
        k, num_classes = checked_count("k", k), checked_count("num_classes", num_classes)
        super().__init__(num_classes=num_classes, top_k=k, average="micro", **kwargs)
        self.record_settings(
            k=k, num_classes=num_classes, ignore_index=self.ignore_index, multidim_average=self.multidim_average
        )
        self.persistent(True)

    def update(self, preds: ArrayLike, target: ArrayLike) -> None:
        """Count a batch.

        Args:
            preds: (N, num_classes) scores.
            target: (N,) true classes.

        Raises:
            TypeError: not an array.
            ValueError: a wrong shape or type; see ``MulticlassAccuracy``.
            RuntimeError: a class that does not exist.
        """
        labels = as_tensor("target", target)
        # torch orders no unsigned integers of more than 8 bits.
        super().update(as_tensor("preds", preds), labels if labels.is_floating_point() else labels.to(torch.int64))

    def compute(self) -> Tensor:
        """Return the share of right images."""
        if isinstance(self.tp, list) and not self.tp:  # sample by sample, and there was none
            return torch.tensor(torch.nan, device=self.device)
        share = torch.as_tensor(super().compute())
        hits, _, _, misses = self._final_state()
        judged = hits + misses if hits.ndim == share.ndim else (hits + misses).sum(dim=-1)
        return torch.where(judged > 0, share, torch.nan)
