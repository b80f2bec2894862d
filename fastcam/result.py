"""What localization finds in images: :class:`Localization`, and the forms that other libraries take."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fastcam.coco import Categories, Ids, checked_categories, checked_ids, coco_entry
from fastcam.rows import Rows, chosen_rows

__all__ = ["Localization", "joined_field"]


@dataclass(frozen=True, repr=False)
class Localization:
    """What was found in N images, for one class each or, where the index was (N, T), for T classes each.

    Everything is on the features' device. ``found[key]`` indexes every field alike by its images, and iterating gives
    one image after the other; ``len(found)`` is N.

    Attributes:
        boxes: (N[, T], 4) float32, x0, y0, x1, y1 in pixels of ``size``, half-open unless the protocol says otherwise.
        areas: (N[, T]) of the largest component; int64 pixels, or float64 polygon areas.
        thresholds: (N[, T]) float32, or float64 of float64 maps, in the units of the maps; NaN where a map holds a NaN.
        labels: (N[, T]) int64, the classes; None where none were given.
        scores: (N[, T]) float32, the classes' probabilities; None where no logits were at hand.
        maps: (N[, T], H, W) float32, or float64 of float64 maps, or uint8 levels where the protocol quantizes; a list
            of N where ``size`` differs by image; None unless asked for.
        masks: likewise, bool: ``maps > thresholds``.
        single: one image, taken out of several by its number: all fields are without their N.

    Example:
        >>> import torch, fastcam
        >>> heat = torch.zeros(3, 8, 8)
        >>> heat[0, 2:5, 1:7] = heat[1, 6, 6] = 1
        >>> found = fastcam.boxes_from_maps(heat)
        >>> found
        Localization(3 images, boxes (3, 4) on cpu)
        >>> found[0].boxes
        tensor([1., 2., 7., 5.])
        >>> found[found.areas > 1].areas, found[-2:].areas, found[[2, 0]].areas
        (tensor([18]), tensor([1, 0]), tensor([ 0, 18]))
        >>> [bool(one.is_empty) for one in found]
        [False, False, True]
        >>> Localization.cat([found[:1], found[1:]]).boxes.shape
        torch.Size([3, 4])
    """

    boxes: Tensor
    areas: Tensor
    thresholds: Tensor
    labels: Tensor | None = None
    scores: Tensor | None = None
    maps: Tensor | list[Tensor] | None = None
    masks: Tensor | list[Tensor] | None = None
    single: bool = False

    @property
    def is_empty(self) -> Tensor:
        """(N[, T]) bool: where nothing was found, and the box is 0, 0, 0, 0 for want of one.

        Where the protocol has the whole image in such a case (``empty="image"``), that is what was found.
        """
        return (self.boxes == 0).all(-1) & ~(self.areas > 0)

    def __len__(self) -> int:
        """Return the number of images, N."""
        return 1 if self.single else len(self.boxes)

    def __getitem__(self, images: Rows) -> Localization:
        """Return what was found in some of the images, or in one of them.

        Args:
            images: a number, counted from the end where it is negative: that image alone, its fields without their N;
                a slice, a list or integer tensor or array (M,) of numbers, or a mask of N: those images.

        Raises:
            IndexError: a number out of range, or a mask of another length.
            TypeError: another kind of index.

        Example:
            >>> import torch, fastcam
            >>> found = fastcam.localize(torch.rand(4, 2, 5, 5), torch.rand(3, 2), [[0, 1]] * 4, size=(9, 9))
            >>> found[-1].boxes.shape, found[::2].boxes.shape, found[found.areas[:, 0] < 0].boxes.shape
            (torch.Size([2, 4]), torch.Size([2, 2, 4]), torch.Size([0, 2, 4]))
        """
        several = self._several()
        chosen = chosen_rows(images, len(several))
        if isinstance(chosen, (int, slice)):
            taken = several._each(lambda part: part[chosen])
            return dataclasses.replace(taken, single=isinstance(chosen, int))
        rows = chosen.to(self.boxes.device)
        numbers = chosen.tolist()
        return several._each(lambda part: [part[i] for i in numbers] if isinstance(part, list) else part[rows])

    def __iter__(self) -> Iterator[Localization]:
        """Yield what was found in one image after the other, as ``found[i]``."""
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        """Return how many images and classes, and which of the fields there are: never their numbers."""
        count = "1 image" if len(self) == 1 else f"{len(self)} images"
        classes = f" of {self.areas.shape[-1]} classes" if self.areas.ndim > (not self.single) else ""
        there = [name for name in ("labels", "scores", "maps", "masks") if getattr(self, name) is not None]
        parts = [f"{count}{classes}", f"boxes {tuple(self.boxes.shape)} on {self.boxes.device}", *there]
        return f"{type(self).__name__}({', '.join(parts)})"

    def to(self, device: torch.device | str | int, *, non_blocking: bool = False) -> Localization:
        """Return it with everything on a device; dtypes are what they were.

        Args:
            device: where to.
            non_blocking: see :meth:`torch.Tensor.to`.

        Raises:
            TypeError: a dtype, or something else that is no device.
        """
        if not isinstance(device, (torch.device, str, int)) or isinstance(device, bool):
            raise TypeError(
                f"device must be a torch.device, its name or its number, got {device!r}; fields keep their dtypes"
            )
        where = torch.device(device)

        def moved(part: Any) -> Any:  # noqa: ANN401
            if isinstance(part, list):
                return [one.to(where, non_blocking=non_blocking) for one in part]
            return part.to(where, non_blocking=non_blocking)

        return self._each(moved)

    def cpu(self) -> Localization:
        """Return it with everything on the CPU."""
        return self.to("cpu")

    def numpy(self) -> dict[str, Any]:
        """Return the fields by their names as NumPy arrays, on whatever device they are; those that are None left out.

        Maps and masks of different sizes are lists of arrays.

        Example:
            >>> import torch, fastcam
            >>> arrays = fastcam.boxes_from_maps(torch.eye(3)[None]).numpy()
            >>> list(arrays), arrays["boxes"]
            (['boxes', 'areas', 'thresholds'], array([[0., 0., 3., 3.]], dtype=float32))
        """
        fields = {name: part for name, part in vars(self.cpu()).items() if part is not None and name != "single"}
        return {
            name: [one.numpy() for one in part] if isinstance(part, list) else part.numpy()
            for name, part in fields.items()
        }

    @staticmethod
    def cat(results: Sequence[Localization]) -> Localization:
        """Join results, as :func:`torch.cat` does tensors along their images.

        Args:
            results: at least one; of the same number of classes, with the same fields, on one device. A single image
                counts as a result of one.

        Returns:
            All their images in order. Maps and masks that differ in size become lists of one an image.

        Raises:
            TypeError: something that is no Localization.
            ValueError: none at all, or results that do not fit each other.

        Example:
            >>> import torch, fastcam
            >>> parts = [fastcam.boxes_from_maps(torch.rand(n, 6, 6)) for n in (2, 3)]
            >>> fastcam.Localization.cat(parts)
            Localization(5 images, boxes (5, 4) on cpu)
        """
        wrong = next((one for one in results if not isinstance(one, Localization)), None)
        if wrong is not None:
            raise TypeError(f"results must be Localizations, got {type(wrong).__name__}")
        if not results:
            raise ValueError("results must be at least one Localization, got none")
        kind = type(results[0])
        other = next((one for one in results if type(one) is not kind), None)
        if other is not None:
            raise TypeError(f"results must be of one kind, got {kind.__name__} and {type(other).__name__}")
        return kind._cat(results)

    def to_coco(self, image_ids: Ids | None = None, category_ids: Categories | None = None) -> list[dict[str, Any]]:
        """COCO results: a dictionary a box with ``image_id``, ``category_id``, ``bbox`` (x, y, w, h) and ``score``.

        Where nothing was found there is no box, and so no dictionary. The numbers are Python's own, as ``json.dumps``
        takes them; a score that is not a number is None, JSON's null.

        Args:
            image_ids: the ids of the N images; 0, 1, ... by default.
            category_ids: the category id of each label; the labels themselves by default.

        Raises:
            TypeError: ids that are neither integers nor strings.
            ValueError: ``image_ids`` of another length than N, no labels to take categories from, or a label that
                ``category_ids`` has no id for.

        Example:
            >>> import torch, fastcam
            >>> heat = torch.zeros(1, 4, 4)
            >>> heat[0, 1:3, 1:4] = 1
            >>> found = fastcam.boxes_from_maps(heat)
            >>> import dataclasses
            >>> dataclasses.replace(found, labels=torch.tensor([7])).to_coco()
            [{'image_id': 0, 'category_id': 7, 'bbox': [1.0, 1.0, 3.0, 2.0], 'score': 1.0}]
        """
        if self.labels is None:
            raise ValueError("to_coco needs labels, got a Localization without; set them with dataclasses.replace")
        ids = list(range(len(self))) if image_ids is None else checked_ids("image_ids", image_ids)
        if len(ids) != len(self):
            raise ValueError(f"image_ids must have the length of the {len(self)} images, got {len(ids)}")
        categories = None if category_ids is None else checked_categories(category_ids)
        results = []
        for image, found in zip(ids, self.cpu().to_torchmetrics(), strict=True):
            columns = (found[key].tolist() for key in ("boxes", "labels", "scores"))
            for box, label, score in zip(*columns, strict=True):
                if categories is not None and label not in categories:
                    raise ValueError(f"category_ids must have an id for each label, got none for label {label}")
                results.append(coco_entry(image, label if categories is None else categories[label], box, score))
        return results

    def to_torchmetrics(self) -> list[dict[str, Tensor]]:
        """What torchmetrics' detection metrics take: for each image ``boxes`` (M, 4), ``scores`` and ``labels`` (M,).

        M is the number of the image's T classes for which something was found: a detection metric would count a box
        0, 0, 0, 0 as a wrong detection. A score that is not known is 1, a label that is not known 0.

        Example:
            >>> import torch, fastcam
            >>> heat = torch.zeros(2, 4, 4)
            >>> heat[0, 1:3, 1:4] = 1
            >>> [one["boxes"].tolist() for one in fastcam.boxes_from_maps(heat).to_torchmetrics()]
            [[[1.0, 1.0, 4.0, 3.0]], []]
        """
        several = self._several()
        shape, device = several.areas.shape, several.boxes.device
        labels = torch.zeros(shape, dtype=torch.int64, device=device) if several.labels is None else several.labels
        scores = torch.ones(shape, device=device) if several.scores is None else several.scores
        parts = (several.is_empty, several.boxes, scores, labels)
        empty, *columns = (part if len(shape) == 2 else part[:, None] for part in parts)
        results = []
        # Read at once: a mask an image would wait for the device as often.
        for nothing, *rows in zip(empty.tolist(), *columns, strict=True):
            if any(nothing):
                kept = [i for i, none in enumerate(nothing) if not none]
                rows = [part[kept] for part in rows]
            results.append(dict(zip(("boxes", "scores", "labels"), rows, strict=True)))
        return results

    @classmethod
    def _cat(cls, results: Sequence[Any]) -> Localization:
        parts = [vars(one._several()) for one in results]
        return cls(
            **{name: joined_field(name, [part[name] for part in parts]) for name in parts[0] if name != "single"}
        )

    def _several(self) -> Localization:
        """Give a single image its N = 1 back."""
        if not self.single:
            return self
        return dataclasses.replace(self._each(lambda part: part[None]), single=False)

    def _each(self, change: Callable[[Any], Any]) -> Localization:
        there = {name: part for name, part in vars(self).items() if part is not None and name != "single"}
        fields: dict[str, Any] = {name: change(part) for name, part in there.items()}
        return dataclasses.replace(self, **fields)


def joined_field(name: str, parts: Sequence[Any]) -> Any:  # noqa: ANN401
    """Join one field of several results; what it is missing from, or another dtype, device or shape, is an error."""
    if all(part is None for part in parts):
        return None
    if any(part is None for part in parts):
        raise ValueError(f"results must have the same fields, got {name} in some of them only")
    tensors = [one for part in parts for one in (part if isinstance(part, list) else [part])]
    for what in ("device", "dtype"):
        kinds = {str(getattr(one, what)) for one in tensors}
        if len(kinds) > 1:
            raise ValueError(f"results must be of one {what}, got {name} of {' and '.join(sorted(kinds))}")
    by_size = name in ("maps", "masks")
    if by_size and (any(isinstance(part, list) for part in parts) or len({one.shape[1:] for one in tensors}) > 1):
        return [one for part in parts for one in part]
    if len({one.shape[1:] for one in tensors}) > 1:
        shapes = " and ".join(str(tuple(one.shape)) for one in tensors)
        raise ValueError(f"results must have the same number of classes, got {name} of shapes {shapes}")
    return torch.cat(tensors)
