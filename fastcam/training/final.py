"""The final pass: the only one that sees the test images and their boxes."""

from __future__ import annotations

import sys

import torch
from tqdm import tqdm

from fastcam.data import Split
from fastcam.evaluation.loading import worker_errors
from fastcam.evaluation.network_pass import NetworkSettings, run_network
from fastcam.evaluation.truth import ground_truth
from fastcam.methods import MethodExtractor
from fastcam.network import Network
from fastcam.protocol import PAPER, Protocol
from fastcam.training.batches import usable_workers
from fastcam.training.engine import Fabric
from fastcam.training.trained import Trained

__all__ = ["final_pass"]

_NUMBERS = ("top1_cls", "gt_loc", "top1_loc")


def final_pass(
    trained: Trained, split: Split, engine: Fabric, *, workers: int = 0, protocol: Protocol = PAPER
) -> dict[str, float]:
    """Classify and localize the images of a part of a data set, as ``fastcam evaluate`` does with the checkpoint.

    Each process runs its share; the numbers are those of all processes, and of one process alone.

    Args:
        trained: what to judge.
        split: the images; where one has no box only the classification is judged.
        engine: of the training.
        workers: processes that decode.
        protocol: how a map becomes a box, and how that is compared.

    Returns:
        ``top1_cls`` and, with boxes, ``gt_loc`` and ``top1_loc`` (IoU at least 0.5), as fractions.

    Raises:
        PictureError: a picture that cannot be read.
        WorkerError: a process that reads ended before its time.
    """
    network = Network(
        str(trained.checkpoint),
        trained.model,
        MethodExtractor(trained.model, trained.method),
        trained.inputs,
        trained.classes,
        engine.device,
    )
    truth = ground_truth(split, trained.inputs)
    settings = NetworkSettings(
        protocol, {label: (label,) for label in range(len(trained.classes))}, workers=usable_workers(workers)
    )
    share = (engine.global_rank, engine.world_size)
    count = -(-len(split) // engine.world_size)
    shown = None if engine.is_global_zero else True
    progress = tqdm(total=count, desc="test", unit="image", disable=shown, file=sys.stderr, leave=False)
    with progress, worker_errors():
        predictions = run_network(network, split, truth, settings, share=share, on_progress=progress.update)
    hits = predictions.judged(predictions.used, boxed=split.has_boxes).hits()
    names = [name for name in _NUMBERS if name in hits]
    counts = torch.tensor([int(hits[name].sum()) for name in names] + [int(predictions.used.sum())])
    total = engine.all_reduce(counts.to(engine.device), reduce_op="sum")
    assert isinstance(total, torch.Tensor)
    *right, images = total.tolist()
    return {name: count / images for name, count in zip(names, right, strict=True)}
