"""Top-k classification accuracy, torchmetrics' own."""

from __future__ import annotations

from typing import Any

from torchmetrics.classification import MulticlassAccuracy

__all__ = ["TopKAccuracy"]


class TopKAccuracy(MulticlassAccuracy):
    """``torchmetrics.classification.MulticlassAccuracy`` with the average that image classification reports.

    Args:
        k: the true class must be among the k highest scores.
        num_classes: how many classes there are.
        **kwargs: of ``MulticlassAccuracy``.

    ``update(scores, labels)`` takes (N, num_classes) and (N,).

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
        super().__init__(num_classes=num_classes, top_k=k, average="micro", **kwargs)
