"""The final pass: the only one that sees the test images and their boxes."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from fastcam.data import Geometry, Record, Split
from fastcam.evaluation import Comparison
from fastcam.metrics import GTKnownLoc, TopKAccuracy, TopKLoc
from fastcam.protocol import PAPER, Protocol
from fastcam.training.batches import Pictures, normalized, usable_workers
from fastcam.training.engine import Fabric
from fastcam.training.loop import Trained

__all__ = ["final_pass"]


class _Numbered(Pictures):
    """Pictures with their number in the place of their label."""

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        return super().__getitem__(number)[0], number


def final_pass(
    trained: Trained,
    split: Split,
    engine: Fabric,
    *,
    crop: int = 224,
    batch_size: int = 32,
    workers: int = 0,
    protocol: Protocol = PAPER,
) -> dict[str, float]:
    """Classify and localize the images of a part of a data set, each process its share.

    Args:
        trained: what to judge.
        split: the images; where one has no box only the classification is judged.
        engine: of the training.
        crop: side in pixels that the whole image is resized to.
        batch_size: images at a time.
        workers: processes that decode.
        protocol: how a map becomes a box.

    Returns:
        ``top1_cls`` and, with boxes, ``gt_loc`` and ``top1_loc`` (IoU at least 0.5), as fractions, of all processes.
    """
    geometry = Geometry((crop, crop))
    classes = trained.model.classifier.out_features
    metrics: dict[str, Any] = {"top1_cls": TopKAccuracy(num_classes=classes)}
    # The evaluators that work on levels count both ends of a box.
    comparison = Comparison.of(split, geometry, inclusive=protocol.quantize)
    if split.has_boxes:
        metrics["gt_loc"] = GTKnownLoc(inclusive=comparison.inclusive)
        metrics["top1_loc"] = TopKLoc(box="true", inclusive=comparison.inclusive)
    for metric in metrics.values():
        metric.to(engine.device)
    own = range(engine.global_rank, len(split), engine.world_size)
    pictures = _Numbered([split[number] for number in own], geometry)
    loader = DataLoader(pictures, batch_size=batch_size, num_workers=usable_workers(workers))
    shown = None if engine.is_global_zero else True
    for pixels, numbers in tqdm(loader, desc="test", unit="batch", disable=shown, file=sys.stderr, leave=False):
        records = [split[own[number]] for number in numbers.tolist()]
        labels = torch.tensor([record.label for record in records], device=engine.device)
        images = normalized(pixels.to(engine.device), trained.model.preprocessing)
        logits, found = trained.method.localize(trained.model, images, labels, protocol=protocol)
        metrics["top1_cls"].update(logits, labels)
        if split.has_boxes:
            truth = [_truth(record, split, geometry, comparison) for record in records]
            metrics["gt_loc"].update(found.boxes, truth)
            predicted = logits.argmax(dim=1, keepdim=True)
            metrics["top1_loc"].update(found.boxes, truth, predicted=predicted, labels=labels)
    return {name: metric.compute().item() for name, metric in metrics.items()}


def _truth(record: Record, split: Split, geometry: Geometry, comparison: Comparison) -> torch.Tensor:
    size = record.size or record.read().shape[:2]
    boxes = geometry.boxes(record.boxes, (size[0], size[1]), box_end=split.box_end)
    return torch.from_numpy(comparison.moved(boxes))
