"""What a frozen backbone makes of pictures, computed once."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from fastcam.data import Record
from fastcam.evaluation.loading import plain_signals
from fastcam.inputs import Inputs
from fastcam.models import Classifier
from fastcam.reproduce.budget import Budget
from fastcam.reproduce.kept import Kept
from fastcam.training.batches import Pictures, usable_workers
from fastcam.training.errors import reading_errors

__all__ = ["features_in_batches", "pooled_features"]

_KEPT_AT_ONCE = 2048


def pooled_features(
    model: Classifier,
    records: Sequence[Record],
    inputs: Inputs,
    poolings: Sequence[nn.Module],
    kept: Kept,
    budget: Budget,
    *,
    workers: int = 0,
) -> list[Tensor]:
    """Return for each pooling what it makes of the maps, (N, C) float32 on the CPU; the maps are not kept.

    What 2048 images came to is kept at a time.

    Raises:
        BudgetSpentError: before all images were seen.
    """
    pooled: list[list[Tensor]] = [[] for _ in poolings]
    for first in range(0, len(records), _KEPT_AT_ONCE):
        part = records[first : first + _KEPT_AT_ONCE]

        def of_part(part: Sequence[Record] = part) -> dict[str, Tensor]:
            every: list[list[Tensor]] = [[] for _ in poolings]
            for maps in features_in_batches(model, part, inputs, workers=workers):
                for parts, pooling in zip(every, poolings, strict=True):
                    parts.append(pooling(maps).float().cpu())
            return {str(number): torch.cat(parts) for number, parts in enumerate(every)}

        budget.check()
        found = kept.tensors(f"pooled/{first:08d}", of_part)
        for number, parts in enumerate(pooled):
            parts.append(found[str(number)])
    return [torch.cat(parts) for parts in pooled]


def features_in_batches(
    model: Classifier, records: Sequence[Record], inputs: Inputs, *, batch_size: int = 16, workers: int = 0
) -> Iterator[Tensor]:
    """Yield the maps that are pooled, (n, C, h, w) on the model's device, in order; it is put into eval mode."""
    device = model.classifier.weight.device
    loader = DataLoader(
        Pictures(records, inputs),
        batch_size=batch_size,
        num_workers=usable_workers(workers),
        worker_init_fn=plain_signals,
    )
    model.eval()
    with torch.inference_mode(), reading_errors():
        for pixels, _ in tqdm(loader, desc="features", unit="batch", disable=None, file=sys.stderr, leave=False):
            yield model.forward_features(inputs.normalized(pixels.to(device)))
