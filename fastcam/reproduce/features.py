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
from fastcam.training.batches import Pictures, usable_workers
from fastcam.training.errors import reading_errors

__all__ = ["feature_maps", "pooled_features"]


def feature_maps(
    model: Classifier, records: Sequence[Record], inputs: Inputs, *, batch_size: int = 16, workers: int = 0
) -> Tensor:
    """Return the maps that are pooled, (N, C, h, w) float32 on the CPU; the model is put into eval mode."""
    every, first = torch.empty(0), 0
    for maps in _batches(model, records, inputs, batch_size, workers):
        if first == 0:  # joined at the end, they would stand in memory twice
            every = torch.empty(len(records), *maps.shape[1:])
        every[first : first + len(maps)] = maps
        first += len(maps)
    return every


def pooled_features(
    model: Classifier,
    records: Sequence[Record],
    inputs: Inputs,
    poolings: Sequence[nn.Module],
    *,
    batch_size: int = 16,
    workers: int = 0,
) -> list[Tensor]:
    """Return for each pooling what it makes of the maps, (N, C) float32 on the CPU; the maps are not kept."""
    pooled: list[list[Tensor]] = [[] for _ in poolings]
    for maps in _batches(model, records, inputs, batch_size, workers):
        for parts, pooling in zip(pooled, poolings, strict=True):
            parts.append(pooling(maps).float().cpu())
    return [torch.cat(parts) for parts in pooled]


def _batches(
    model: Classifier, records: Sequence[Record], inputs: Inputs, batch_size: int, workers: int
) -> Iterator[Tensor]:
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
