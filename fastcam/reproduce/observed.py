"""What a trained network says of the test images, of which all rows with its training are judged: :class:`Observed`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from fastcam.data import Split
from fastcam.evaluation.calls import images_per_call, read_calls
from fastcam.extractors import Extraction
from fastcam.network import Network
from fastcam.reproduce.table import Training

__all__ = ["Observed", "extractions", "observe"]


@dataclass(frozen=True)
class Observed:
    """A trained network on N test images.

    Attributes:
        training: how it was trained.
        logits: (N, K), on the CPU.
        maps: by ``clamp_negative`` the maps of the true classes, (N, h, w) float32, on the CPU.
    """

    training: Training
    logits: Tensor
    maps: Mapping[bool, Tensor]


def observe(network: Network, training: Training, split: Split, *, workers: int = 0) -> Observed:
    """Run a network over the images of a split, once each.

    Args:
        network: with its inputs; its classes are those of the split.
        training: how it was trained.
        split: the images.
        workers: processes that decode.

    Raises:
        PictureError: a picture that cannot be read.
    """
    logits: list[Tensor] = []
    maps: dict[bool, list[Tensor]] = {False: [], True: []}
    for _, extraction in extractions(network, split, workers=workers):
        logits.append(extraction.logits.cpu())
        for clamp_negative, parts in maps.items():
            parts.append(extraction.maps(clamp_negative=clamp_negative).float().cpu())
    return Observed(training, torch.cat(logits), {clamped: torch.cat(parts) for clamped, parts in maps.items()})


def extractions(network: Network, split: Split, *, workers: int = 0) -> Iterator[tuple[list[int], Extraction]]:
    """Run a network over the images of a split for their true classes, once each, in order.

    Args:
        network: with its inputs; its classes are those of the split.
        split: the images.
        workers: processes that decode.

    Yields:
        The numbers of some images, and what the network gave of them.

    Raises:
        PictureError: a picture that cannot be read.
    """
    size = images_per_call(network.device)
    with tqdm(total=len(split), desc="test", unit="image", disable=None, file=sys.stderr, leave=False) as progress:
        calls = read_calls(split, network.inputs, range(len(split)), size, workers=workers, on_progress=progress.update)
        for numbers, pixels in calls:
            with torch.no_grad():
                images = network.inputs.normalized(pixels.to(network.device))
                yield numbers, network.extractor.extract(images, [split[number].label for number in numbers])
