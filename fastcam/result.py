"""What localization finds in images: :class:`Localization`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeGuard, cast

import torch
from torch import Tensor

from fastcam.conventions import Exports, ImageBoxes
from fastcam.joining import joined_field, joined_sizes
from fastcam.masks import MaskForm, masks_in
from fastcam.own_masks import own_masks
from fastcam.rows import Rows, chosen_rows

__all__ = ["NO_TENSORS", "Localization"]

NO_TENSORS = ("size", "single", "connectivity")
"""The fields that are no tensors, one row an image."""

_Size = tuple[int, int]


@dataclass(frozen=True, repr=False)
class Localization(Exports):
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
        size: (H, W) in pixels that the boxes refer to, or a tuple of N of them; None where it is not known.
        single: one image, taken out of several by its number: all fields are without their N.
        connectivity: of the components, 8 or 4.

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
    size: _Size | tuple[_Size, ...] | None = None
    connectivity: int = 8

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
        size = several._size_of(chosen)
        if isinstance(chosen, (int, slice)):
            taken = several._each(lambda part: part[chosen])
            return dataclasses.replace(taken, single=isinstance(chosen, int), size=size)
        rows = chosen.to(self.boxes.device)
        numbers = chosen.tolist()
        taken = several._each(lambda part: [part[i] for i in numbers] if isinstance(part, list) else part[rows])
        return dataclasses.replace(taken, size=size)

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
        fields = self.cpu()._tensors()
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

    def image_boxes(self) -> list[ImageBoxes]:
        """Return the boxes of each image, without those of what was not found: what all exports are made of."""
        several = self._several()
        one_class = several.areas.ndim == 1

        def rows(part: Any, i: int, kept: list[int] | None) -> Any:  # noqa: ANN401
            """One image's rows of a field: of its T classes those in which something was found."""
            its = None if part is None else part[i][None] if one_class else part[i]
            return its if kept is None or its is None else its[kept]

        results = []
        # Read at once: a mask an image would wait for the device as often.
        for i, (nothing, size) in enumerate(zip(several.is_empty.tolist(), several.sizes, strict=True)):
            empty = [nothing] if one_class else nothing
            kept = [t for t, none in enumerate(empty) if not none] if any(empty) else None
            boxes, labels, scores, thresholds, maps, masks = (
                rows(getattr(several, name), i, kept)
                for name in ("boxes", "labels", "scores", "thresholds", "maps", "masks")
            )
            each = None if maps is None else list(maps)
            own = None if masks is None else partial(own_masks, masks, boxes, self.connectivity)
            results.append(ImageBoxes(boxes, labels, scores, size, maps=each, thresholds=thresholds, masks=own))
        return results

    def host_boxes(self) -> list[ImageBoxes]:
        """Return the boxes of each image on the host, without maps."""
        return dataclasses.replace(self, maps=None).cpu().image_boxes()

    def masks_as(self, form: MaskForm, *, of_boxes: bool = False) -> Any:  # noqa: ANN401
        """Return the masks in another form; those of a single image are one.

        Args:
            form: ``"bool"``, as :attr:`masks`; ``"packed"``, :class:`fastcam.PackedMasks`, one bit a pixel; or
                ``"rle"``, COCO's compressed run lengths, the bytes that pycocotools has, for each mask a dictionary.
            of_boxes: for each image those of its boxes, of what was found: the component of each box alone.

        Returns:
            See :func:`fastcam.masks.masks_in`.

        Raises:
            ValueError: another form, or masks that were not asked for.

        Example:
            >>> import torch, fastcam
            >>> features = torch.zeros(1, 1, 4, 4)
            >>> features[0, 0, 1:3, 1:4] = 1
            >>> found = fastcam.localize(features, torch.ones(1, 1), [0], size=(4, 4), return_masks=True)
            >>> found.masks_as("rle")
            [{'size': [4, 4], 'counts': b'522000O'}]
        """
        if self.masks is None:
            raise ValueError("masks_as needs masks, got a result without: return_masks=True")
        if of_boxes:
            each = [masks_in(form, one.masks()) for one in self.image_boxes() if one.masks is not None]
            return each[0] if self.single else each
        if isinstance(self.masks, Tensor) and self.single:
            return masks_in(form, [self.masks])[0]
        return masks_in(form, self.masks)

    @property
    def sizes(self) -> list[_Size | None]:
        """(H, W) of each image; None where it is not known."""
        if _by_image(self.size):
            return list(self.size)
        return [cast("_Size | None", self.size)] * len(self)

    @classmethod
    def _cat(cls, results: Sequence[Any]) -> Localization:
        parts = [vars(one._several()) for one in results]
        names = [name for name in parts[0] if name not in NO_TENSORS]
        joined = {name: joined_field(name, [part[name] for part in parts]) for name in names}
        joined["size"] = joined_sizes([size for one in results for size in one.sizes])
        return cls(**joined, connectivity=results[0].connectivity)

    def _several(self) -> Localization:
        """Give a single image its N = 1 back."""
        if not self.single:
            return self
        return dataclasses.replace(self._each(lambda part: part[None]), single=False)

    def _each(self, change: Callable[[Any], Any]) -> Localization:
        fields: dict[str, Any] = {name: change(part) for name, part in self._tensors().items()}
        return dataclasses.replace(self, **fields)

    def _tensors(self) -> dict[str, Any]:
        """The fields that there are, by their names: tensors, and lists of one an image."""
        return {name: part for name, part in vars(self).items() if part is not None and name not in NO_TENSORS}

    def _size_of(self, chosen: int | slice | Tensor) -> Any:  # noqa: ANN401
        if not _by_image(self.size):
            return self.size
        return self.size[chosen] if isinstance(chosen, (int, slice)) else tuple(self.size[i] for i in chosen.tolist())


def _by_image(size: _Size | tuple[_Size, ...] | None) -> TypeGuard[tuple[_Size, ...]]:
    """Whether it says the size of each image, and not one for all."""
    return size is not None and (not size or isinstance(size[0], tuple))
