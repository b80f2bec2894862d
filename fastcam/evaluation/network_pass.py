"""A pass of a network over pictures: classes, boxes at the protocol's threshold, and raw maps for the score pass.

``fastcam train`` ends with this pass and ``fastcam evaluate`` begins with it, so a network has one GT-Loc.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcam.data.record import Split
from fastcam.evaluation.calls import images_per_call, read_calls
from fastcam.evaluation.judge import Judge, Judged, correct_classes
from fastcam.evaluation.score_maps import ScoreMapWriter
from fastcam.evaluation.truth import Truth
from fastcam.extractors import Extraction, Extractor
from fastcam.extractors.extraction import LinearExtraction
from fastcam.localization import boxes_from_maps
from fastcam.network import Network
from fastcam.processes import Processes
from fastcam.protocol import PAPER, Protocol
from fastcam.reference.masks import working_dtype

__all__ = ["ClassMap", "NetworkSettings", "Predictions", "run_network"]

ClassMap = Mapping[int, Sequence[int]]
"""For each class of a data set those of a network that mean it."""


@dataclass(frozen=True)
class NetworkSettings:
    """How a network is run for evaluation.

    Attributes:
        protocol: how a map becomes a box at a fixed threshold, and how that is compared with the ground truth.
        classes: for each class of the data set those of the network that mean it: the map is that of the likeliest of
            them. None: the map is that of the predicted class, whatever it is.
        batch_size: pictures at a time; see :func:`fastcam.evaluation.calls.images_per_call`.
        workers: processes that read pictures; 0 reads in this one.
    """

    protocol: Protocol = PAPER
    classes: ClassMap | None = None
    batch_size: int = 64
    workers: int = 0


@dataclass
class Predictions:
    """What a network said of the N records of a split.

    Attributes:
        predicted: (N,) int64, its likeliest class; -1 where the picture was skipped.
        correct: (N, 2) bool, the class was right in the first place and among the first five; None where the network's
            classes are not those of the data set.
        boxes: (N, 4) float32 in evaluated pixels, at the protocol's threshold.
        ious: (N,) float64, the box's best IoU with the ground truth, as the protocol compares; 0 without boxes.
        used: (N,) bool, the pictures that were run.
    """

    predicted: NDArray[np.int64]
    correct: NDArray[np.bool_] | None
    boxes: NDArray[np.float32]
    ious: NDArray[np.float64]
    used: NDArray[np.bool_]

    @property
    def fits(self) -> NDArray[np.bool_]:
        """(N,) bool, the box reaches an IoU of 0.5; all False without boxes."""
        return np.asarray((self.ious >= 0.5) & self.used)

    def judged(self, used: NDArray[np.bool_], *, boxed: bool) -> Judged:
        """Return what was right of the records in ``used``, (N,) bool; ``boxed``: there is ground truth for boxes."""
        correct = None if self.correct is None else self.correct[used]
        return Judged(self.fits[used] if boxed else None, correct)

    def together(self, processes: Processes) -> Predictions:
        """Put together what each process predicted of its own images; all of them call it and get the whole."""
        if processes.count == 1:
            return self
        whole, own = deepcopy(self), np.flatnonzero(self.used)
        places: list[NDArray[Any] | None] = [getattr(whole, one.name) for one in fields(whole)]
        for numbers, parts in processes.gathered((own, [None if one is None else one[own] for one in places])):
            for place, part in zip(places, parts, strict=True):
                if place is not None:
                    place[numbers] = part
        return whole


def run_network(
    network: Network,
    split: Split,
    truth: Truth,
    settings: NetworkSettings = NetworkSettings(),
    writer: ScoreMapWriter | None = None,
    *,
    share: tuple[int, int] = (0, 1),
    on_skipped: Callable[[ValueError], None] | None = None,
    on_progress: Callable[[int], object] = lambda _: None,
) -> Predictions:
    """Run a network over the pictures of a split, once each.

    Args:
        network: with its inputs.
        split: the pictures.
        truth: of the split, in the pixels of the network's inputs; records that it leaves out are not run.
        settings: how.
        writer: takes each picture's map, (h, w) at the features' own size and unnormalized; float64 of a network of
            that width, float32 of all others.
        share: (i, n): run the i-th of n shares of the calls, as one of n processes; ``used`` is that of the share.
        on_skipped: called for each picture that cannot be read, which is then left out; by default it is raised.
        on_progress: called with the number of pictures done since it was called last.

    Returns:
        The :class:`Predictions`.

    Raises:
        PictureError: a picture that cannot be read, or has another size than the data set says, without
            ``on_skipped``.
    """
    count = len(split)
    done = Predictions(
        np.full(count, -1),
        None if settings.classes is None else np.zeros((count, 2), bool),
        np.zeros((count, 4), np.float32),
        np.zeros(count),
        np.zeros(count, bool),
    )
    calls = read_calls(
        split,
        network.inputs,
        np.flatnonzero(truth.used).tolist(),
        images_per_call(network.device, settings.batch_size),
        share=share,
        workers=settings.workers,
        on_skipped=on_skipped,
        on_progress=on_progress,
    )
    for numbers, pixels in calls:
        _run_call(network, split, settings, writer, done, numbers, pixels)
    done.ious = Judge(truth, settings.protocol).ious(torch.from_numpy(done.boxes))
    return done


def _run_call(
    network: Network,
    split: Split,
    settings: NetworkSettings,
    writer: ScoreMapWriter | None,
    done: Predictions,
    numbers: list[int],
    pixels: Tensor,
) -> None:
    images = network.inputs.normalized(pixels.to(network.device))
    with torch.no_grad():
        if settings.classes is None or done.correct is None:
            extraction = network.extractor.extract(images)
        else:
            accepted = [settings.classes[split[number].label] for number in numbers]
            extraction = _extracted(network.extractor, images, accepted)
            done.correct[numbers] = correct_classes(extraction.logits, accepted)
        maps = extraction.maps(clamp_negative=settings.protocol.clamp_negative)
    done.predicted[numbers] = extraction.logits.argmax(dim=1).cpu().numpy()
    done.boxes[numbers] = (
        boxes_from_maps(maps, size=network.inputs.size, protocol=settings.protocol.of_largest()).boxes.cpu().numpy()
    )
    done.used[numbers] = True
    if writer is not None:
        for number, values in zip(numbers, maps.to(working_dtype(maps.dtype)).cpu().numpy(), strict=True):
            writer.write(split[number].id, values)


def _extracted(extractor: Extractor, images: Tensor, accepted: Sequence[Sequence[int]]) -> Extraction:
    """Run the extractor for the likeliest of the accepted classes of each image."""
    if all(len(names) == 1 for names in accepted):
        return extractor.extract(images, [names[0] for names in accepted])
    first = extractor.extract(images)
    likeliest = [names[int(row[list(names)].argmax())] for row, names in zip(first.logits, accepted, strict=True)]
    if isinstance(first, LinearExtraction):
        return replace(first, labels=torch.tensor(likeliest, device=first.logits.device))
    # Finished maps belong to their classes: those of other classes take another run.
    return extractor.extract(images, likeliest)
