"""From picture files to boxes, a batch at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcam.cli.network import Network
from fastcam.export import Detection, Picture
from fastcam.images import PictureError, read_picture
from fastcam.localization import Localization
from fastcam.protocol import Protocol

__all__ = ["Located", "Settings", "locate"]


@dataclass(frozen=True)
class Settings:
    """How to localize.

    Attributes:
        batch_size: pictures that go through the network together.
        top_k: classes per picture.
        protocol: how a map becomes a box.
        at_original: find boxes at the picture's own size, rather than at the network's input size and scaled.
        keep_pictures: hand on the pixels and the top class's map, for an overlay.
    """

    batch_size: int
    top_k: int
    protocol: Protocol
    at_original: bool
    keep_pictures: bool


@dataclass(frozen=True)
class Located:
    """One picture, its boxes best class first, and where they were asked for its pixels and map."""

    picture: Picture
    detections: list[Detection]
    pixels: NDArray[np.uint8] | None
    heat: NDArray[Any] | None


@dataclass(frozen=True)
class _Read:
    picture: Picture
    inputs: Tensor
    pixels: NDArray[np.uint8] | None


def locate(
    network: Network, paths: Sequence[Path], settings: Settings, on_unreadable: Callable[[PictureError], None]
) -> Iterator[Located]:
    """Localize pictures in batches; no more than one batch is in memory.

    Args:
        network: what to run.
        paths: the pictures; their place in the list, from 1, is their id.
        settings: how.
        on_unreadable: called for each picture that cannot be read, which is then left out.

    Yields:
        The others, in order. The time of a picture is its batch's, from the transfer of the inputs to the boxes,
        divided by the number of pictures in it; reading, resizing and drawing are not in it.
    """
    for start in range(0, len(paths), settings.batch_size):
        batch = []
        for number, path in enumerate(paths[start : start + settings.batch_size], start + 1):
            try:
                batch.append(_read(network, number, path, settings.keep_pictures))
            except PictureError as error:
                on_unreadable(error)
        if batch:
            yield from _locate_batch(network, batch, settings)


def _read(network: Network, number: int, path: Path, keep: bool) -> _Read:
    pixels = read_picture(path)
    picture = Picture(number, str(path), width=pixels.shape[1], height=pixels.shape[0])
    return _Read(picture, network.preprocessing(pixels), pixels if keep else None)


def _locate_batch(network: Network, batch: list[_Read], settings: Settings) -> Iterator[Located]:
    inputs = torch.stack([one.inputs for one in batch])
    started = time.perf_counter()
    _, found = network.localizer(
        inputs.to(network.device),
        top_k=settings.top_k,
        size=[(one.picture.height, one.picture.width) for one in batch] if settings.at_original else None,
        protocol=settings.protocol,
        return_maps=settings.keep_pictures,
    )
    # Reading the numbers waits for the device, so the clock stops when they are there.
    boxes = found.boxes.cpu().numpy().astype(np.float64)
    milliseconds = (time.perf_counter() - started) * 1000 / len(batch)
    height, width = inputs.shape[2:]
    assert found.labels is not None
    assert found.scores is not None
    for row, one in enumerate(batch):
        if not settings.at_original:
            boxes[row] *= np.array([one.picture.width / width, one.picture.height / height] * 2)
        detections = [
            Detection(one.picture, label, network.classes[label], score, (box[0], box[1], box[2], box[3]), milliseconds)
            for label, score, box in zip(
                found.labels[row].tolist(), found.scores[row].tolist(), boxes[row].tolist(), strict=True
            )
        ]
        yield Located(one.picture, detections, one.pixels, _top_map(found, row))


def _top_map(found: Localization, row: int) -> NDArray[Any] | None:
    return None if found.maps is None else found.maps[row][0].cpu().numpy()
