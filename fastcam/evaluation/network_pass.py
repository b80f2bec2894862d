"""A pass of a classifier over pictures: classes, boxes at the protocol's threshold, and raw maps for the score pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from fastcam.activation import cam
from fastcam.data.geometry import Geometry
from fastcam.data.record import Split
from fastcam.evaluation.ground_truth import Comparison
from fastcam.evaluation.loading import loading
from fastcam.evaluation.numbers import Number, Numbers
from fastcam.evaluation.score_maps import ScoreMapWriter
from fastcam.images import PictureError
from fastcam.localization import boxes_from_maps
from fastcam.localizer import Localizer
from fastcam.metrics import GTKnownLoc
from fastcam.protocol import PAPER, Protocol

__all__ = ["NetworkSettings", "Predictions", "run_network"]

ClassMap = Mapping[int, Sequence[int]]


@dataclass(frozen=True)
class NetworkSettings:
    """How a network is run for evaluation.

    Attributes:
        mean: of red, green and blue, on the scale where white is 1.
        std: likewise.
        device: where the network is.
        geometry: how the pictures come to its input.
        protocol: from map to box at a fixed threshold.
        classes: for each class of the data set those of the network that mean it: the map is that of the likeliest of
            them. None: the map is that of the predicted class, whatever it is.
        inclusive: boxes are compared with x1 and y1 as the last pixels inside, not half-open.
        batch_size: pictures at a time.
        workers: processes that read pictures; 0 reads in this one.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    device: torch.device
    geometry: Geometry
    protocol: Protocol = PAPER
    classes: ClassMap | None = None
    inclusive: bool = False
    batch_size: int = 16
    workers: int = 0


@dataclass
class Predictions:
    """What a network said of the records of a split.

    Attributes:
        predicted: (N,) int64, its likeliest class; -1 where the picture was skipped.
        correct: (N, 2) bool, the class was right in the first place and among the first five; None where the network's
            classes are not those of the data set.
        boxes: (N, 4) float32, half-open, in evaluated pixels, at the protocol's threshold.
        fits: (N,) bool, the box reaches an IoU of 0.5 with the ground truth; all False without boxes.
        used: (N,) bool, the pictures that were read.
    """

    predicted: NDArray[np.int64]
    correct: NDArray[np.bool_] | None
    boxes: NDArray[np.float32]
    fits: NDArray[np.bool_]
    used: NDArray[np.bool_]

    def numbers(self, used: NDArray[np.bool_], *, boxed: bool) -> Numbers:
        """Collect the numbers of some records: Cls, and at the fixed threshold GT-Loc and Top-k Loc.

        Args:
            used: (N,) bool, which records count.
            boxed: there is ground truth for boxes.
        """
        found: dict[str, Number] = {}
        fits = self.fits[used]
        if self.correct is None:
            return {"loc": Number(float(fits.mean()), None, "fixed")} if boxed else {}
        correct = self.correct[used]
        for column, key in enumerate(("top1_cls", "top5_cls")):
            found[key] = Number(float(correct[:, column].mean()))
        if boxed:
            found["gt_loc"] = Number(float(fits.mean()), None, "fixed")
            for column, key in enumerate(("top1_loc", "top5_loc")):
                found[key] = Number(float((fits & correct[:, column]).mean()), None, "fixed")
        return found


def run_network(
    split: Split,
    truth: Sequence[NDArray[np.int64] | None],
    localizer: Localizer,
    settings: NetworkSettings,
    writer: ScoreMapWriter,
    *,
    on_skipped: Callable[[ValueError], None] | None = None,
    on_progress: Callable[[int], object] = lambda _: None,
) -> Predictions:
    """Run a classifier over the pictures of a split, once each.

    Args:
        split: the pictures.
        truth: for each record its boxes (G, 4) in evaluated pixels, or None to leave it out.
        localizer: the classifier.
        settings: how.
        writer: takes each picture's map, (h, w) float32 at the features' own size and unnormalized.
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
        np.zeros(count, bool),
        np.zeros(count, bool),
    )
    numbers = [number for number, boxes in enumerate(truth) if boxes is not None]
    loader = loading(
        _Pictures(split, settings.geometry, numbers),
        len(numbers),
        batch_size=settings.batch_size,
        workers=settings.workers,
        collate=list,
    )
    for batch in loader:
        read = [one for one in batch if not isinstance(one, ValueError)]
        for error in (one for one in batch if isinstance(one, ValueError)):
            if on_skipped is None:
                raise error
            on_skipped(error)
        if read:
            _run_batch(split, truth, localizer, settings, writer, done, read)
        on_progress(len(batch))
    return done


def _run_batch(
    split: Split,
    truth: Sequence[NDArray[np.int64] | None],
    localizer: Localizer,
    settings: NetworkSettings,
    writer: ScoreMapWriter,
    done: Predictions,
    read: list[tuple[int, NDArray[np.uint8]]],
) -> None:
    numbers = np.array([number for number, _ in read])
    labels = [split[number].label for number in numbers.tolist()]
    logits, features, weight = localizer.features(_inputs([pixels for _, pixels in read], settings))
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices.cpu()
    done.predicted[numbers] = best[:, 0].numpy()
    if settings.classes is None or done.correct is None:
        index = best[:, 0]
    else:
        accepted = [list(settings.classes[label]) for label in labels]
        index = torch.tensor([names[int(row[names].argmax())] for row, names in zip(logits, accepted, strict=True)])
        hits = [[one in names for one in row] for row, names in zip(best.tolist(), accepted, strict=True)]
        done.correct[numbers] = [[row[0], any(row)] for row in hits]
    maps = cam(features, weight, index.to(features.device), clamp_negative=settings.protocol.clamp_negative)
    boxes = boxes_from_maps(maps, size=settings.geometry.size, protocol=settings.protocol).boxes.cpu()
    comparison = Comparison.of(split, settings.geometry, inclusive=settings.inclusive)
    done.boxes[numbers] = boxes.numpy()
    done.used[numbers] = True
    for row, number in enumerate(numbers.tolist()):
        writer.write(split[number].id, maps[row].float().cpu().numpy())
        found = truth[number]
        if found is not None and len(found):
            # One image at a time: its own verdict is wanted too.
            metric = GTKnownLoc(inclusive=comparison.inclusive)
            metric.update(boxes[row : row + 1], [torch.from_numpy(comparison.moved(found))])
            done.fits[number] = bool(metric.right)


def _inputs(pixels: list[NDArray[np.uint8]], settings: NetworkSettings) -> Tensor:
    images = torch.from_numpy(np.stack(pixels)).to(settings.device).permute(0, 3, 1, 2).float() / 255
    mean, std = (
        torch.tensor(values, device=settings.device)[:, None, None] for values in (settings.mean, settings.std)
    )
    return (images - mean) / std


class _Pictures(Dataset[Any]):
    """Reads one picture and brings it to the network's input, or gives the error instead."""

    def __init__(self, split: Split, geometry: Geometry, numbers: list[int]) -> None:
        self._split = split
        self._geometry = geometry
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> tuple[int, NDArray[np.uint8]] | ValueError:
        number = self._numbers[index]
        try:
            return number, self._geometry.picture(self._split[number].read())
        except PictureError as error:
            return error
