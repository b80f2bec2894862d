"""What a frozen backbone makes of a data set, computed once: :class:`Features`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from fastcam.data import Geometry, Record, Split
from fastcam.evaluation import Comparison
from fastcam.models import Classifier
from fastcam.training.batches import Pictures, normalized, usable_workers

__all__ = ["Truth", "feature_maps", "pooled_features", "read_truth"]


@dataclass(frozen=True)
class Truth:
    """What is known of N images.

    Attributes:
        labels: (N,) int64.
        boxes: (N, G, 4) float64 in evaluated pixels; where an image has fewer than G boxes its first one is repeated.
        shift: 1 where the ends of the boxes are last pixels inside.
    """

    labels: Tensor
    boxes: Tensor
    shift: int = 0

    def compared(self, *, inclusive: bool) -> Tensor:
        """Return the boxes with their ends as a comparison takes them that is inclusive, or half-open."""
        return self.boxes if inclusive else self.boxes + torch.tensor([0, 0, self.shift, self.shift])


def read_truth(split: Split, geometry: Geometry) -> Truth:
    """Collect labels and boxes of a part of a data set, the boxes moved to the pixels that are evaluated.

    Raises:
        ValueError: an image without a box.
    """
    if not split.has_boxes:
        raise ValueError(f"localization is judged by boxes: {split.dataset} {split.name} has images without")
    moved = [_moved(record, split, geometry) for record in split]
    most = max(map(len, moved))
    padded = np.stack([np.concatenate([boxes, boxes[:1].repeat(most - len(boxes), axis=0)]) for boxes in moved])
    shift = Comparison.of(split, geometry, inclusive=False).shift
    return Truth(torch.tensor([record.label for record in split]), torch.from_numpy(padded).double(), shift)


def _moved(record: Record, split: Split, geometry: Geometry) -> NDArray[Any]:
    size = record.size or record.read().shape[:2]
    return geometry.boxes(record.boxes, (size[0], size[1]), box_end=split.box_end)


def feature_maps(
    model: Classifier, records: Sequence[Record], geometry: Geometry, *, batch_size: int = 16, workers: int = 0
) -> Tensor:
    """Return the maps that are pooled, (N, C, h, w) float32 on the CPU, of a model in eval mode."""
    return torch.cat([maps.float().cpu() for maps in _batches(model, records, geometry, batch_size, workers)])


def pooled_features(
    model: Classifier,
    records: Sequence[Record],
    geometry: Geometry,
    poolings: Sequence[nn.Module],
    *,
    batch_size: int = 16,
    workers: int = 0,
) -> list[Tensor]:
    """Return for each pooling what it makes of the maps, (N, C) float32 on the CPU; the maps are not kept."""
    pooled: list[list[Tensor]] = [[] for _ in poolings]
    for maps in _batches(model, records, geometry, batch_size, workers):
        for parts, pooling in zip(pooled, poolings, strict=True):
            parts.append(pooling(maps).float().cpu())
    return [torch.cat(parts) for parts in pooled]


def _batches(model: Classifier, records: Sequence[Record], geometry: Geometry, batch_size: int, workers: int) -> Any:  # noqa: ANN401
    device = model.classifier.weight.device
    loader = DataLoader(Pictures(records, geometry), batch_size=batch_size, num_workers=usable_workers(workers))
    model.eval()
    with torch.inference_mode():
        for pixels, _ in tqdm(loader, desc="features", unit="batch", disable=None, file=sys.stderr, leave=False):
            yield model.forward_features(normalized(pixels.to(device), model.preprocessing))
