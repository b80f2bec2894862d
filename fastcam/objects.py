"""All boxes that were found in images, any number an image: :class:`Objects`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fastcam.conventions import ImageBoxes
from fastcam.joining import joined_field, joined_sizes
from fastcam.own_masks import own_masks
from fastcam.result import NO_TENSORS, Localization
from fastcam.rows import Rows, chosen_rows

__all__ = ["Objects"]

_OF_BOXES = ("boxes", "areas", "scores", "labels", "probabilities", "image", "place")
_OF_MAPS = ("thresholds", "maps", "masks")


@dataclass(frozen=True, repr=False)
class Objects(Localization):
    """What was found in N images with ``keep="all"``: M boxes in all, those of one image after those of the one before.

    Within an image the boxes of its first class come first, those of a class in the protocol's ``order``. An image in
    which nothing was found has none. ``found[key]`` chooses images, ``found[i]`` has the boxes of one, ``len(found)``
    is N; :class:`Localization` says what else there is.

    Attributes:
        boxes: (M, 4) float32, x0, y0, x1, y1 in pixels of ``size``, half-open unless the protocol says otherwise.
        areas: (M,) of the components; int64 pixels, or float64 polygon areas.
        scores: (M,) float32, or float64 of float64 maps: the map's peak inside the component, or its mean.
        labels: (M,) int64, the class of each box; None where none were given.
        image: (M,) int64, the number of the image that each box lies in, from 0; it never falls.
        place: (M,) int64, which of the T maps of its image each box lies in; None where there is one.
        probabilities: (M,) float32, the probability of each box's class; None where no logits were at hand.
        thresholds: (N[, T]), of each map.
        maps: (N[, T], H, W), or a list of N; None unless asked for.
        masks: likewise, bool; ``masks_as(form, of_boxes=True)`` has the component of each box.
        size: as of :class:`Localization`.
        single: one image, taken out of several by its number: thresholds, maps and masks are without their N.

    Raises:
        IndexError: of ``found[key]``, an image that does not exist.

    Example:
        >>> import torch, fastcam
        >>> heat = torch.zeros(2, 8, 8)
        >>> heat[0, 2:5, 1:7], heat[0, 7, 0], heat[1, 6, 6] = 1.0, 3.0, 2.0
        >>> protocol = fastcam.PAPER.replace(keep="all", percentile=100, threshold=0.2)
        >>> found = fastcam.boxes_from_maps(heat, protocol=protocol)
        >>> found
        Objects(2 images, 3 boxes on cpu, scores)
        >>> found.image.tolist(), found.areas.tolist(), found.scores.tolist()
        ([0, 0, 1], [18, 1, 1], [1.0, 3.0, 2.0])
        >>> found[1].boxes
        tensor([[6., 6., 7., 7.]])
    """

    image: Tensor = field(kw_only=True)
    place: Tensor | None = field(default=None, kw_only=True)
    probabilities: Tensor | None = field(default=None, kw_only=True)

    @classmethod
    def of_localization(cls, found: Localization, kept: Tensor) -> Objects:
        """Return those boxes of the largest components, (N) or (N, T), that are kept and not empty, best class first.

        Args:
            found: with labels and scores; these are the probabilities too.
            kept: (N) or (N, T) bool.
        """
        where = (kept & ~found.is_empty).nonzero()
        rows = tuple(where.T)
        parts = {name: getattr(found, name) for name in _OF_BOXES[:4]}
        chosen: dict[str, Any] = {name: None if part is None else part[rows] for name, part in parts.items()}
        chosen |= {name: getattr(found, name) for name in (*_OF_MAPS, *NO_TENSORS)}
        place = where[:, 1] if where.shape[1] == 2 else None
        return cls(**chosen, image=where[:, 0], place=place, probabilities=chosen["scores"])

    def boxes_where(self, kept: Tensor) -> Objects:
        """Return only some of the boxes, of a mask (M,); the images stay."""
        there = {name: getattr(self, name) for name in _OF_BOXES}
        return dataclasses.replace(self, **{name: part[kept] for name, part in there.items() if part is not None})

    @property
    def counts(self) -> Tensor:
        """(N,) int64: how many boxes each image has."""
        return torch.bincount(self.image, minlength=len(self))

    @property
    def is_empty(self) -> Tensor:
        """(N,) bool: the images in which nothing was found."""
        return self.counts == 0

    def __len__(self) -> int:
        """Return the number of images, N."""
        return 1 if self.single else len(self.thresholds)

    def __getitem__(self, images: Rows) -> Objects:
        """Return the boxes of some of the images, or of one of them; see :meth:`Localization.__getitem__`."""
        several = self._several()
        chosen = chosen_rows(images, len(several))
        if isinstance(chosen, Tensor):
            numbers = chosen.tolist()
        else:
            numbers = [chosen] if isinstance(chosen, int) else list(range(len(several)))[chosen]
        device = self.boxes.device
        counts, wanted = several.counts, torch.tensor(numbers, dtype=torch.int64, device=device)
        first, count = (counts.cumsum(0) - counts)[wanted], counts[wanted]
        # The boxes of an image lie together: from its first one on, as many as it has.
        image = torch.arange(len(numbers), device=device).repeat_interleave(count)
        rows = torch.arange(len(image), device=device) + (first - count.cumsum(0) + count)[image]

        def taken(name: str, part: Any) -> Any:  # noqa: ANN401
            if name in _OF_BOXES:
                return part[rows]
            if isinstance(chosen, (int, slice)):
                return part[chosen]
            return [part[i] for i in numbers] if isinstance(part, list) else part[wanted]

        parts = {name: taken(name, part) for name, part in several._tensors().items()}
        size = several._size_of(chosen)
        return dataclasses.replace(several, **parts | {"image": image}, single=isinstance(chosen, int), size=size)

    def __repr__(self) -> str:
        """Return how many images and boxes, and which of the fields there are: never their numbers."""
        count = "1 image" if len(self) == 1 else f"{len(self)} images"
        boxes = "1 box" if len(self.boxes) == 1 else f"{len(self.boxes)} boxes"
        names = ("labels", "scores", "probabilities", "maps", "masks")
        there = [name for name in names if getattr(self, name) is not None]
        return f"{type(self).__name__}({', '.join([count, f'{boxes} on {self.boxes.device}', *there])})"

    def image_boxes(self) -> list[ImageBoxes]:
        """Return the boxes of each image: what all exports are made of."""
        several = self._several()
        counts = several.counts.tolist()
        columns = [
            [None] * len(counts) if part is None else part.split(counts)
            for part in (several.boxes, several.labels, several.scores)
        ]
        places = [None] * len(counts) if several.place is None else several.place.split(counts)
        results = []
        for i, (boxes, labels, scores, size) in enumerate(zip(*columns, several.sizes, strict=True)):
            there: dict[str, Any] = {}
            if several.thresholds.ndim == 1 or places[i] is not None:
                there = several._of_maps(i, boxes, places[i])
            results.append(ImageBoxes(boxes, labels, scores, size, **there))
        return results

    def _of_maps(self, i: int, boxes: Tensor, place: Tensor | None) -> dict[str, Any]:
        """What is known of the maps that the boxes of image i lie in, for each box."""
        places = [0] * len(boxes) if place is None else place.tolist()
        thresholds = self.thresholds[i].reshape(-1)[places]
        maps = None if self.maps is None else self.maps[i].reshape(-1, *self.maps[i].shape[-2:])
        masks = None if self.masks is None else self.masks[i].reshape(-1, *self.masks[i].shape[-2:])
        return {
            "maps": None if maps is None else [maps[one] for one in places],
            "thresholds": None if maps is None else thresholds,
            "masks": None if masks is None else partial(_masks_of_boxes, masks, boxes, places, self.connectivity),
        }

    def _several(self) -> Objects:
        if not self.single:
            return self
        there = {name: getattr(self, name) for name in _OF_MAPS}
        parts = {name: part[None] for name, part in there.items() if part is not None}
        return dataclasses.replace(self, **parts, single=False)

    @classmethod
    def _cat(cls, results: Sequence[Any]) -> Objects:
        several = [one._several() for one in results]
        names = [name for name in vars(several[0]) if name not in NO_TENSORS]
        fields = {name: [vars(one)[name] for one in several] for name in names}
        parts: dict[str, Any] = {name: joined_field(name, of_all) for name, of_all in fields.items()}
        starts = torch.tensor([0, *map(len, several)], device=parts["image"].device).cumsum(0)[:-1]
        counts = torch.tensor([len(one.boxes) for one in several], device=starts.device)
        parts["image"] = parts["image"] + starts.repeat_interleave(counts)
        sizes = joined_sizes([size for one in several for size in one.sizes])
        return cls(**parts, size=sizes, connectivity=several[0].connectivity)


def _masks_of_boxes(masks: Tensor, boxes: Tensor, places: list[int], connectivity: int) -> Tensor:
    """The component of each box (M, H, W), of the masks (T, H, W) that they lie in; each mask is labelled once."""
    found = masks.new_zeros((len(boxes), *masks.shape[1:]))
    for one in sorted(set(places)):
        rows = [row for row, place in enumerate(places) if place == one]
        found[rows] = own_masks(masks[one], boxes[rows], connectivity)
    return found
