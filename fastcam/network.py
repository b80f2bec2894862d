"""A network ready to localize in pictures as people have them: :class:`Network`."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fastcam.activation import Index
from fastcam.conventions import Exports, ImageBoxes
from fastcam.extractors import Extractor, LocalizeOptions
from fastcam.images import Picture, as_pixels
from fastcam.inputs import Inputs
from fastcam.objects import Objects
from fastcam.result import Localization

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["At", "Found", "Network"]

At = Literal["input", "original"]


@dataclass(frozen=True)
class Found(Exports):
    """What was found in one picture, the classes in their order; its exports are those of a result of one image.

    Attributes:
        boxes: (T, 4) float64, x0, y0, x1, y1 in the picture's own pixels, half-open unless the protocol says otherwise;
            0, 0, 0, 0 where nothing was found.
        labels: (T,) int64, the classes.
        names: what they are called.
        scores: (T,) float32, their probabilities: the softmax of the logits. With ``keep="all"`` T counts boxes, any
            number a class, and the scores are theirs: the map's peak or mean under each.
        size: (H, W) of the picture.
        maps: (T, h, w), the maps that the boxes were found in, where they were asked for: of the network's input size,
            or of the picture's with ``at="original"``.
    """

    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    scores: NDArray[np.float32]
    size: tuple[int, int]
    maps: NDArray[Any] | None = None

    @property
    def is_empty(self) -> NDArray[np.bool_]:
        """(T,) bool: for which classes nothing was found, so that there is no box."""
        return np.asarray((self.boxes == 0).all(axis=-1))

    def image_boxes(self) -> list[ImageBoxes]:
        """Return the boxes of the picture, in its own pixels, without those of what was not found."""
        kept = np.flatnonzero(~self.is_empty)
        boxes, labels, scores = (torch.from_numpy(part[kept]) for part in (self.boxes, self.labels, self.scores))
        return [ImageBoxes(boxes, labels, scores, self.size, tuple(self.names[i] for i in kept))]


@dataclass(frozen=True)
class Network:
    """A classifier with all that its use needs; :func:`fastcam.load` makes one.

    Attributes:
        name: what it was loaded from.
        model: the classifier, in eval mode.
        extractor: runs it and gives maps, as the method that it was trained by defines them.
        inputs: what it sees of a picture.
        classes: the names of its classes, by label.
        device: where it is.

    Example:
        >>> import fastcam
        >>> from fastcam.models import VGG16
        >>> network = fastcam.load(VGG16(num_classes=3, width=1 / 16), classes=("cat", "dog", "rocket"), size=(64, 64))
        >>> found = network(np.zeros((48, 80, 3), np.uint8), top_k=2)
        >>> found.boxes.shape, len(found.names), found.size
        ((2, 4), 2, (48, 80))
        >>> [len(one.names) for one in network([np.zeros((48, 80), np.uint8), torch.rand(3, 20, 30)])]
        [1, 1]
    """

    name: str
    model: nn.Module
    extractor: Extractor
    inputs: Inputs
    classes: tuple[str, ...]
    device: torch.device

    @property
    def batch_size(self) -> int:
        """How many pictures are run together where nothing else is asked for."""
        # On a CPU larger batches overflow the cache and are slower.
        return 4 if self.device.type == "cpu" else 16

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a path is a sequence of texts
        self,
        pictures: Picture,
        index: Index | None = None,
        *,
        top_k: int | None = None,
        at: At = "input",
        batch_size: int | None = None,
        **options: Unpack[LocalizeOptions],
    ) -> Found: ...
    @overload
    def __call__(
        self,
        pictures: Sequence[Picture],
        index: Index | None = None,
        *,
        top_k: int | None = None,
        at: At = "input",
        batch_size: int | None = None,
        **options: Unpack[LocalizeOptions],
    ) -> list[Found]: ...
    def __call__(
        self,
        pictures: Picture | Sequence[Picture],
        index: Index | None = None,
        *,
        top_k: int | None = None,
        at: At = "input",
        batch_size: int | None = None,
        **options: Unpack[LocalizeOptions],
    ) -> Found | list[Found]:
        """Localize one class, or several, in one picture or many.

        Args:
            pictures: a path, a PIL image, an array (H, W, 3) or a tensor (3, H, W) (see
                :func:`fastcam.images.as_pixels`); or a list of them, of any sizes.
            index: the classes: one for all pictures, or (N,), or (N, T). None: each picture's first class.
            top_k: instead of ``index``: each picture's ``top_k`` classes, best first.
            at: find boxes at the network's input size and scale them, or at each picture's own size.
            batch_size: pictures that go through the network together; by default :attr:`batch_size`.
            **options: see :class:`fastcam.extractors.LocalizeOptions`; ``at`` stands for ``size``. With ``min_score``
                a picture has any number of boxes, none where no class reaches it.

        Returns:
            :class:`Found` for a picture, a list of them for a list.

        Raises:
            PictureError: a picture that cannot be read.
            TypeError: an argument of the wrong type.
            ValueError: an argument out of range; the message says which.
        """
        several = isinstance(pictures, Sequence) and not isinstance(pictures, str)
        given = cast("Sequence[Any]", pictures if several else [pictures])
        rows = None if index is None else _by_picture(index, len(given))
        step = self.batch_size if batch_size is None else batch_size
        found: list[Found] = []
        for start in range(0, len(given), step):
            batch = [as_pixels(one) for one in given[start : start + step]]
            chosen = None if rows is None else rows[start : start + step]
            sizes = [(pixels.shape[0], pixels.shape[1]) for pixels in batch]
            found += self.find(self.images(batch), sizes, chosen, top_k=top_k, at=at, **options)
        return found if several else found[0]

    def images(self, pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Turn pictures (H, W, 3) uint8 of any sizes into the network's input, (N, 3, h, w) float32 on its device."""
        return self.inputs.normalized(torch.stack([self.inputs.tensor(one) for one in pictures]).to(self.device))

    def find(
        self,
        images: Tensor,
        sizes: Sequence[tuple[int, int]],
        index: Index | None = None,
        *,
        top_k: int | None = None,
        at: At = "input",
        **options: Unpack[LocalizeOptions],
    ) -> list[Found]:
        """Localize in what :meth:`images` gave.

        Args:
            images: (N, 3, h, w).
            sizes: (H, W) of the pictures they come from.
            index: see :meth:`__call__`.
            top_k: see :meth:`__call__`.
            at: see :meth:`__call__`.
            **options: see :meth:`__call__`.

        Raises:
            TypeError: as :meth:`__call__`.
            ValueError: as :meth:`__call__`.
        """
        if at not in ("input", "original"):
            raise ValueError(f"at must be 'input' or 'original', got {at!r}")
        if at == "original" and self.inputs.crop is not None:
            raise ValueError(f"at='original' needs inputs that show the whole picture, got crop={self.inputs.crop}")
        if "size" in options:
            raise TypeError("size is not an option here: at='input' or at='original' says it")
        if at == "original":
            options["size"] = list(sizes)
        _, found = self.extractor.localize(images, index, top_k=top_k, **options)
        if isinstance(found, Objects):
            return [self._all_of(one, size, at) for one, size in zip(found.cpu(), sizes, strict=True)]
        assert found.labels is not None
        assert found.scores is not None
        boxes = found.boxes.cpu().numpy().astype(np.float64).reshape(len(sizes), -1, 4)
        labels, scores, nothing = (
            part.cpu().numpy().reshape(len(sizes), -1) for part in (found.labels, found.scores, found.is_empty)
        )
        results = []
        for row, size in enumerate(sizes):
            own = self.inputs.to_picture(boxes[row], size) if at == "input" else boxes[row]
            own[nothing[row]] = 0  # a crop would move the box that stands for none
            maps = None if found.maps is None else found.maps[row].cpu().numpy()
            names = tuple(self.classes[label] for label in labels[row].tolist())
            if maps is not None and maps.ndim == 2:
                maps = maps[None]
            results.append(Found(own, labels[row], names, scores[row], size, maps))
        return results

    def _all_of(self, found: Localization, size: tuple[int, int], at: At) -> Found:
        """Say what was found in one picture with ``keep="all"``: the scores are those of the boxes in the map."""
        assert found.labels is not None
        assert found.scores is not None
        boxes, labels = found.boxes.numpy().astype(np.float64), found.labels.numpy()
        own = self.inputs.to_picture(boxes, size) if at == "input" else boxes
        maps = None if found.maps is None else torch.as_tensor(found.maps).numpy()
        if maps is not None and maps.ndim == 2:
            maps = maps[None]
        names = tuple(self.classes[label] for label in labels.tolist())
        return Found(own, labels, names, found.scores.numpy().astype(np.float32), size, maps)

    def try_out(self) -> None:
        """Run once on noise: what does not fit is found before the first picture is read, and start-up is over.

        Raises:
            RuntimeError: the model does not run on an input of this size; the message says why.
        """
        shape = (1, 3, *self.inputs.size)
        generator = torch.Generator("cpu").manual_seed(0)
        noise = torch.randn(shape, generator=generator, device="cpu").to(self.device)
        try:
            # Of a copy: an extractor warns once of maps that are not the classifier's, and of the first real batch.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                copy.copy(self.extractor).localize(noise)
        except Exception as error:
            raise RuntimeError(
                f"the model does not run on an input of {shape}: {type(error).__name__}: {error}"
            ) from error


def _by_picture(index: Index, count: int) -> Tensor:
    # Not on a default device that may have been set: what a list holds is read here.
    rows = index if isinstance(index, Tensor) else torch.as_tensor(index, device="cpu")
    return rows.expand(count) if rows.dim() == 0 else rows
