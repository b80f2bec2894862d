"""Batches for training: pictures decoded in workers, augmented on the device a batch at a time.

What a batch holds and how it is cropped depends on the seed, the epoch and the batch's number alone: any number of
processes, of workers and of parts sees the same images, each its slice of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Sampler

from fastcam.data import Record
from fastcam.evaluation.loading import plain_signals
from fastcam.inputs import Inputs
from fastcam.processes import processors

__all__ = ["Augmentation", "Order", "Pictures", "mixed_seed", "picture_loader", "resized_crops", "usable_workers"]


def mixed_seed(*numbers: int) -> int:
    """Mix whole numbers into one seed below 2**63; neighbouring ones give unrelated seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def usable_workers(wanted: int) -> int:
    """Return how many processes are to decode: no more than there are cores for this one."""
    return min(wanted, processors())


class Pictures(Dataset[tuple[Tensor, int]]):
    """Pictures of a data set as tensors of one size.

    Args:
        records: which.
        inputs: the size they come to, and the filter.
        keep: decode each once and keep it, in memory that processes started later share.

    An item is (3, h, w) uint8, RGB, and the label.
    """

    def __init__(self, records: Sequence[Record], inputs: Inputs, *, keep: bool = False) -> None:
        self._records = records
        self._inputs = inputs
        self._kept: tuple[Tensor, Tensor] | None = None  # the pictures, and which of them are there
        if keep:
            pixels = torch.empty((len(records), 3, *inputs.size), dtype=torch.uint8)
            self._kept = pixels.share_memory_(), torch.zeros(len(records), dtype=torch.bool).share_memory_()

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        record = self._records[number]
        if self._kept is None:
            return self._inputs.tensor(record.read()), record.label
        pixels, decoded = self._kept
        # Two processes that decode the same picture at once write the same bytes.
        if not decoded[number]:
            pixels[number] = self._inputs.tensor(record.read())
            decoded[number] = True
        return pixels[number], record.label


def picture_loader(
    pictures: Pictures,
    *,
    workers: int,
    device: torch.device,
    **batches: Any,  # noqa: ANN401
) -> DataLoader[tuple[Tensor, int]]:
    """Return what decodes pictures in workers, for a device.

    Args:
        pictures: what is decoded.
        workers: processes at most; 0: none but this one.
        device: that they are for.
        batches: what PyTorch's loader is told of batches.
    """
    workers = usable_workers(workers)
    return DataLoader(
        pictures,
        num_workers=workers,
        worker_init_fn=plain_signals,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        **batches,
    )


class Order(Sampler[list[int]]):
    """The order of one process: for each part of each batch, the numbers of its images.

    Every epoch is a new permutation; images that do not fill a last batch wait for the next epoch.

    Args:
        count: images in all.
        batch_size: images a step, in all processes together.
        parts: that a process computes its share in.
        rank: this process.
        processes: how many there are.
        seed: settles the permutations.

    Raises:
        ValueError: a batch that cannot be shared equally, or more of it than images.
    """

    def __init__(self, count: int, batch_size: int, *, parts: int, rank: int, processes: int, seed: int) -> None:
        if batch_size % (parts * processes):
            raise ValueError(
                f"batch_size must be a multiple of accumulate={parts} x {processes} "
                f"process{'es' * (processes > 1)}, got {batch_size}"
            )
        if batch_size > count:
            raise ValueError(f"batch_size must be at most the {count} training images, got {batch_size}")
        self.steps = count // batch_size
        self.epoch = 0
        self._count, self._batch_size, self._seed = count, batch_size, seed
        self._share = batch_size // processes
        self._first = rank * self._share
        self._part = self._share // parts

    def __len__(self) -> int:
        return self.steps * (self._share // self._part)

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng(mixed_seed(self._seed, self.epoch, 0)).permutation(self._count).tolist()
        for step in range(self.steps):
            start = step * self._batch_size + self._first
            for first in range(start, start + self._share, self._part):
                yield order[first : first + self._part]

    def slice_of(self, number: int) -> tuple[int, slice]:
        """Return which step the process's part ``number`` belongs to, and what part of the step's batch it is."""
        step, part = divmod(number, self._share // self._part)
        first = self._first + part * self._part
        return step, slice(first, first + self._part)

    def draws(self, step: int) -> Callable[[int, int], NDArray[Any]]:
        """Return a function (low, high) that draws whole numbers for all images of a step's batch."""
        draw = np.random.default_rng(mixed_seed(self._seed, self.epoch, 1, step))
        return lambda low, high: draw.integers(low, high, self._batch_size)


def resized_crops(draw: Callable[[int, int], NDArray[Any]], height: int, width: int) -> NDArray[np.int64]:
    """Draw the crops of GoogLeNet's augmentation (Szegedy et al., CVPR 2015, section 6).

    The area is uniform in 8 to 100 percent of the image's, the ratio of the sides uniform in 3/4 to 4/3 and as often
    upright as not. A crop that does not fit is drawn again, ten times at most; then it is the whole image.

    Args:
        draw: of :meth:`Order.draws`.
        height: of the images.
        width: of the images.

    Returns:
        (N, 4): y0, x0, y1, x1, half-open.
    """

    def uniform(low: float, high: float) -> NDArray[np.float64]:
        return low + (high - low) * draw(0, 1 << 32) / (1 << 32)

    sides = np.array([[height], [width]])
    chosen, missing = sides, np.array(True)
    for _ in range(10):
        area, ratio, upright = uniform(0.08, 1) * height * width, uniform(3 / 4, 4 / 3), draw(0, 2)
        ratio = np.where(upright, ratio, 1 / ratio)
        drawn = np.rint(np.sqrt(area * np.stack((ratio, 1 / ratio)))).astype(np.int64).clip(1)
        fits = missing & (drawn <= sides).all(0)
        chosen, missing = np.where(fits, drawn, chosen), missing & ~fits
    starts = np.floor(np.stack((uniform(0, 1), uniform(0, 1))) * (sides - chosen + 1)).astype(np.int64)
    return np.concatenate((starts, starts + chosen)).T


class Augmentation:
    """Random crops and mirror images of a batch, by one gather on its device.

    Args:
        crop: side of the crop in pixels.
        flip: mirror half of the images.
        inputs: whose mean and deviation normalize.
        googlenet_resize: crops of :func:`resized_crops`, resized to ``crop``, in place of crops of that size.

    Example:
        >>> order = Order(4, 2, parts=1, rank=0, processes=1, seed=0)
        >>> Augmentation(8, True, Inputs())(torch.zeros(2, 3, 10, 10, dtype=torch.uint8), order, 0).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(self, crop: int, flip: bool, inputs: Inputs, *, googlenet_resize: bool = False) -> None:
        self._crop, self._flip, self._inputs, self._googlenet_resize = crop, flip, inputs, googlenet_resize

    def __call__(self, images: Tensor, order: Order, number: int) -> Tensor:
        """Turn the process's part ``number``, (N, 3, h, w) uint8, into (N, 3, crop, crop) float32, normalized."""
        step, own = order.slice_of(number)
        draw = order.draws(step)
        height, width = images.shape[2:]
        # One draw after the other, always: what is drawn for an image does not depend on the options.
        tops, lefts, mirrored = draw(0, height - self._crop + 1), draw(0, width - self._crop + 1), draw(0, 2)
        if self._googlenet_resize:
            boxes = resized_crops(draw, height, width)[own]
            return self._inputs.normalized(self._resized(images, boxes, mirrored[own].astype(bool) & self._flip))
        across = np.arange(self._crop)
        xs = np.where(mirrored[own, None] & self._flip, across[::-1], across) + lefts[own, None]
        ys = across + tops[own, None]
        x, y = (torch.from_numpy(places).to(images.device) for places in (xs, ys))
        row = torch.arange(len(images), device=images.device)
        # Indexing (N, h, w, 3) keeps a pixel's channels together: the result is channels last, as convolutions like it.
        cropped = images.permute(0, 2, 3, 1)[row[:, None, None], y[:, :, None], x[:, None, :]]
        return self._inputs.normalized(cropped.permute(0, 3, 1, 2))

    def _resized(self, images: Tensor, boxes: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> Tensor:
        """Cut and resize each image, bilinear and antialiased, to uint8 as a picture's own resizing gives it."""
        size = (self._crop, self._crop)
        resized = [
            F.interpolate(image[None, :, y0:y1, x0:x1].float(), size, mode="bilinear", antialias=True)
            for image, (y0, x0, y1, x1) in zip(images, boxes.tolist(), strict=True)
        ]
        pixels = torch.cat(resized).round_().to(torch.uint8)
        mirror = torch.from_numpy(mirrored).to(images.device)[:, None, None, None]
        return torch.where(mirror, pixels.flip(3), pixels).contiguous(memory_format=torch.channels_last)
