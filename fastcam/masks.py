"""Boxes from masks, plain or packed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastcam.ops import components
from fastcam.ops.masks import pack, unpack
from fastcam.protocol import Area
from fastcam.rle import Rle, decode, encode
from fastcam.sizes import MOST_PIXELS_OF_MASK, checked_size

__all__ = ["MaskBoxes", "MaskForm", "PackedMasks", "boxes_from_masks", "masks_in", "plain_masks"]

MaskForm = Literal["bool", "packed", "rle"]
"""How masks are held: bool tensors, :class:`PackedMasks`, or COCO's run lengths (see :func:`fastcam.rle.encode`)."""

_KEEP, _AREAS, _CONNECTIVITIES = ("largest", "all"), get_args(Area), (4, 8)


@dataclass(frozen=True)
class PackedMasks:
    """Masks of one size, one bit a pixel.

    Pixel x of a row is bit ``x % 64``, the least significant first, of word ``x // 64``. A row takes ``ceil(W / 64)``
    words of 64 bits; the bits beyond the width are not read.

    Attributes:
        bits: (N, H, ceil(W / 64)) int64.
        size: (H, W) in pixels.

    Raises:
        TypeError: ``bits`` is not an int64 tensor.
        ValueError: a shape that does not fit ``size``.

    Example:
        >>> import torch, fastcam
        >>> packed = fastcam.PackedMasks.pack(torch.tensor([[[True, False, True]]]))
        >>> packed.bits.tolist(), packed.size
        ([[[5]]], (1, 3))
    """

    bits: Tensor
    size: tuple[int, int]

    def __post_init__(self) -> None:
        if not isinstance(self.bits, Tensor) or self.bits.dtype != torch.int64:
            got = self.bits.dtype if isinstance(self.bits, Tensor) else type(self.bits).__name__
            raise TypeError(f"bits must be an int64 tensor, got {got}")
        object.__setattr__(self, "size", checked_size(self.size, most=MOST_PIXELS_OF_MASK))
        row = (self.size[0], -(-self.size[1] // 64))
        if self.bits.ndim != 3 or tuple(self.bits.shape[1:]) != row:
            raise ValueError(f"bits must be (N, {row[0]}, {row[1]}) for size {self.size}, got {tuple(self.bits.shape)}")

    @classmethod
    def pack(cls, masks: Tensor | npt.NDArray[Any]) -> PackedMasks:
        """Pack masks (N, H, W) or (H, W), bool or uint8, set where not zero."""
        plain = _checked_masks(masks)
        return cls(pack(plain), (plain.shape[1], plain.shape[2]))

    def unpack(self) -> Tensor:
        """Return the masks as (N, H, W) bool."""
        return unpack(self.bits, self.size[1])

    def __len__(self) -> int:
        """Return the number of masks, N."""
        return len(self.bits)


@dataclass(frozen=True)
class MaskBoxes:
    """What :func:`boxes_from_masks` found.

    Attributes:
        boxes: (N, 4), or (M, 4) for all components; float32 x0, y0, x1, y1, half-open, in pixels.
        areas: (N,) or (M,); int64 pixels, or float64 polygon areas.
        image: (M,) int64, the number of the mask each box lies in; None for the largest, one a mask.
    """

    boxes: Tensor
    areas: Tensor
    image: Tensor | None = None


def boxes_from_masks(
    masks: Tensor | npt.NDArray[Any] | PackedMasks | Sequence[Rle],
    *,
    keep: Literal["largest", "all"] = "largest",
    area: Area = "pixels",
    connectivity: Literal[4, 8] = 8,
) -> MaskBoxes:
    """Boxes and areas of the connected components of masks.

    Args:
        masks: (N, H, W) or (H, W), bool or uint8 (set where not zero), tensor or NumPy array; :class:`PackedMasks`; or
            COCO's run lengths, a list of dictionaries of ``size`` and ``counts``.
        keep: ``"largest"``, one box a mask; or ``"all"``, image by image in the raster order of first pixels.
        area: ``"pixels"``, the pixel count; or ``"polygon"``, the area inside the outer contour through the pixel
            centres, holes included (``cv2.contourArea``). Of equal pixel counts the first component in raster order is
            the largest, of equal polygon areas the last, as OpenCV's order makes it.
        connectivity: 8 or 4.

    Returns:
        :class:`MaskBoxes`, on the masks' device. An empty mask has the box 0, 0, 0, 0 and the area 0 with
        ``keep="largest"``, and no box with ``keep="all"``.

    Raises:
        TypeError: ``masks`` of another type or dtype.
        ValueError: ``masks`` of another rank or without pixels, or an option that does not exist.

    Example:
        >>> import torch, fastcam
        >>> mask = torch.zeros(1, 8, 8, dtype=torch.bool)
        >>> mask[0, 2:5, 1:7] = True
        >>> found = fastcam.boxes_from_masks(mask)
        >>> found.boxes, found.areas
        (tensor([[1., 2., 7., 5.]]), tensor([18]))
    """
    # Three comparisons in place of a loop: a call for one small mask takes 20 microseconds in all.
    if keep not in _KEEP or area not in _AREAS or type(connectivity) is not int or connectivity not in _CONNECTIVITIES:
        _refuse_choice(keep=(keep, _KEEP), area=(area, _AREAS), connectivity=(connectivity, _CONNECTIVITIES))
    if isinstance(masks, PackedMasks):
        bits, width = masks.bits, masks.size[1]
    else:
        plain = _checked_masks(masks)
        bits, width = plain.view(torch.uint8), plain.shape[2]
    if keep == "largest":
        return MaskBoxes(*components.largest(bits, width, area, connectivity))
    return MaskBoxes(*components.all_components(bits, width, area, connectivity))


def masks_in(form: MaskForm, masks: Tensor | list[Tensor]) -> Any:  # noqa: ANN401
    """Return masks in another form.

    Args:
        form: which.
        masks: (N, H, W) or (N, T, H, W) bool; or a list of N, (H, W) or (T, H, W).

    Returns:
        ``"bool"``: ``masks``. ``"packed"``: :class:`PackedMasks` of N masks; of several classes, and of a list, a list
        of N. ``"rle"``: a list of N dictionaries, or of N lists of T.

    Raises:
        ValueError: a form that does not exist.

    Example:
        >>> import torch
        >>> masks_in("rle", torch.eye(2, dtype=torch.bool)[None])
        [{'size': [2, 2], 'counts': b'0120'}]
    """
    if form not in get_args(MaskForm):
        _refuse_choice(form=(form, get_args(MaskForm)))
    if form == "bool":
        return masks
    if form == "packed":
        if isinstance(masks, Tensor) and masks.ndim == 3:
            return PackedMasks.pack(masks)
        return [PackedMasks.pack(one) for one in masks]
    return [encode(one[None])[0] if one.ndim == 2 else encode(one) for one in masks]


def _refuse_choice(**given: tuple[object, tuple[object, ...]]) -> NoReturn:
    """Raise the error of the first choice that does not exist."""
    for name, (value, choices) in given.items():
        if type(value) is not type(choices[0]) or value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    raise AssertionError(given)


def plain_masks(masks: Any) -> Any:  # noqa: ANN401
    """Return packed masks and COCO's run lengths, one or a list of them, as (N, H, W) bool; all else as it is.

    Raises:
        TypeError: as :func:`fastcam.rle.decode`.
        ValueError: likewise.

    Example:
        >>> plain_masks([{"size": [2, 2], "counts": "0120"}]).int().tolist()
        [[[1, 0], [0, 1]]]
    """
    if isinstance(masks, PackedMasks):
        return masks.unpack()
    if isinstance(masks, Mapping):
        return decode([masks])
    if isinstance(masks, (list, tuple)) and masks and isinstance(masks[0], Mapping):
        return decode(masks)
    return masks


def _checked_masks(masks: Tensor | npt.NDArray[Any] | Sequence[Rle]) -> Tensor:
    """Masks as a contiguous (N, H, W) tensor of bool or uint8."""
    if not isinstance(masks, Tensor):
        masks = plain_masks(masks)
    try:
        # A copy: torch takes no array with negative strides, and warns of one that cannot be written to.
        tensor = masks if isinstance(masks, Tensor) else torch.from_numpy(np.array(masks))
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"masks must be a tensor, an array or PackedMasks, got {type(masks).__name__}") from error
    if tensor.dtype not in (torch.bool, torch.uint8):
        raise TypeError(f"masks must be bool or uint8, got {tensor.dtype}; compare heat maps with a threshold first")
    if tensor.ndim == 2:
        tensor = tensor[None]
    if tensor.ndim != 3 or 0 in tensor.shape[1:]:
        raise ValueError(f"masks must be (N, H, W) or (H, W) with H and W at least 1, got {tuple(tensor.shape)}")
    return tensor.contiguous()
