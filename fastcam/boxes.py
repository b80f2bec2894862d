"""Box arithmetic: intersection over union, and ground truth in the two evaluation geometries of the field."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcam.fitting import crop_offset
from fastcam.sizes import checked_size

__all__ = ["BoxEnds", "BoxSizes", "box_iou", "crop_boxes", "paired_iou", "resize_boxes"]

BoxSizes = tuple[int, int] | Tensor | NDArray[np.int64]
"""(H, W) of the picture that boxes are of; or (N, 2), one for each box."""

BoxEnds = Literal["exclusive", "inclusive"]
"""What x1 and y1 of a data set's boxes are: the first pixels outside, or the last inside."""


def box_iou(a: Tensor, b: Tensor, *, inclusive: bool = False) -> Tensor:
    """Intersection over union of every pair of boxes.

    Args:
        a: (N, 4), x0, y0, x1, y1 in pixels.
        b: (M, 4), likewise.
        inclusive: x1 and y1 are the last pixels inside (a width is ``x1 - x0 + 1``), as the evaluators of the field
            have it; otherwise boxes are half-open.

    Returns:
        (N, M) float64 on the boxes' device. The intersection is clamped at 0; two boxes without area have an IoU of 0.

    Raises:
        TypeError: not a tensor.
        ValueError: a shape other than (N, 4), or boxes on two devices.

    Example:
        >>> import torch, fastcam
        >>> a, b = torch.tensor([[0, 0, 9, 9]]), torch.tensor([[5, 5, 14, 14]])
        >>> fastcam.box_iou(a, b, inclusive=True)  # 25 / 175
        tensor([[0.1429]], dtype=torch.float64)
    """
    a, b = _checked("a", a), _checked("b", b)
    _check_devices(a, b)
    return _iou(a[:, None], b[None], inclusive)


def paired_iou(a: Tensor, b: Tensor, *, inclusive: bool = False) -> Tensor:
    """Intersection over union of each image's box with that image's own boxes.

    Args:
        a: (N, 4), x0, y0, x1, y1 in pixels, one box an image; or (1, 4), the same box for all of them.
        b: (N, G, 4), G boxes an image.
        inclusive: x1 and y1 are the last pixels inside; see :func:`box_iou`.

    Returns:
        (N, G) float64, by the formula of :func:`box_iou`.

    Raises:
        TypeError: not a tensor.
        ValueError: shapes other than these, or boxes on two devices.

    Example:
        >>> import torch
        >>> a, b = torch.tensor([[0, 0, 10, 10]]), torch.tensor([[[0, 0, 10, 5], [50, 50, 60, 60]]])
        >>> paired_iou(a, b)
        tensor([[0.5000, 0.0000]], dtype=torch.float64)
    """
    a = _checked("a", a)
    if not isinstance(b, Tensor):
        raise TypeError(f"b must be a tensor (N, G, 4), got {type(b).__name__}")
    if b.ndim != 3 or b.shape[2] != 4:
        raise ValueError(f"b must be (N, G, 4), got shape {tuple(b.shape)}")
    if len(a) not in (1, len(b)):
        raise ValueError(f"a must be ({len(b)}, 4) or (1, 4) for the {len(b)} images of b, got shape {tuple(a.shape)}")
    _check_devices(a, b)
    return _iou(a[:, None], b.to(torch.float64), inclusive)


def _iou(a: Tensor, b: Tensor, inclusive: bool) -> Tensor:
    """IoU of float64 boxes (..., 4) that broadcast against each other."""
    end = 1 if inclusive else 0
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    both = (high - low + end).clamp(min=0).prod(dim=-1)
    area_a, area_b = ((boxes[..., 2:] - boxes[..., :2] + end).prod(dim=-1) for boxes in (a, b))
    union = area_a + area_b - both
    return torch.where(union > 0, both / union, 0)


def resize_boxes(boxes: Tensor, image_size: BoxSizes, size: tuple[int, int]) -> Tensor:
    """Ground truth for images resized directly (wsolevaluation): ``int(x * size / image_size)``, in that order.

    Args:
        boxes: (N, 4), x0, y0, x1, y1 in pixels of the picture.
        image_size: (H, W) of the picture; or (N, 2), one for each box.
        size: (H, W) it is resized to.

    Returns:
        (N, 4) int64, on the boxes' device.

    Raises:
        TypeError: not a tensor, or a size that is not in whole pixels.
        ValueError: a shape other than (N, 4), or a size below 1.

    Example:
        >>> import torch, fastcam
        >>> fastcam.resize_boxes(torch.tensor([[60, 27, 385, 331]]), (335, 500), (224, 224)).tolist()
        [[26, 18, 172, 221]]
    """
    checked = _checked("boxes", boxes)
    new, old = _edges("size", size, checked), _edges("image_size", image_size, checked)
    # Multiplied, then divided: one rounding, where a ratio times x has two and truncates one coordinate in 3,000 wrong.
    return (checked * new / old).trunc().to(torch.int64)


def crop_boxes(
    boxes: Tensor,
    image_size: BoxSizes,
    *,
    resize: tuple[int, int] = (256, 256),
    crop: tuple[int, int] = (224, 224),
    offset: tuple[int, int] | None = None,
) -> Tensor:
    """Ground truth for images resized, then cropped at the centre (the paper's code), clipped to the last pixels.

    ``int(x / image_size * resize - shift)``, in that order, as that code has it.

    Args:
        boxes: (N, 4), x0, y0, x1, y1 in pixels of the picture, x1 and y1 inclusive.
        image_size: (H, W) of the picture; or (N, 2), one for each box.
        resize: (H, W) it is resized to.
        crop: (H, W) of the centre crop.
        offset: (top, left) of the crop; None: half of what is left over, rounded down.

    Returns:
        (N, 4) int64 on the boxes' device, x1 and y1 inclusive. A box that lies outside the crop comes out degenerate.

    Raises:
        TypeError: not a tensor, or a size that is not in whole pixels.
        ValueError: a shape other than (N, 4), a size or a crop below 1, or a crop larger than the resized picture.

    Example:
        >>> import torch, fastcam
        >>> fastcam.crop_boxes(torch.tensor([[60, 27, 384, 330]]), (335, 500)).tolist()
        [[14, 4, 180, 223]]
    """
    resize, crop = _checked_size("resize", resize), _checked_size("crop", crop)
    if crop[0] > resize[0] or crop[1] > resize[1]:
        raise ValueError(f"crop must fit in resize={resize}, got {crop}")
    checked = _checked("boxes", boxes)
    top, left = crop_offset(resize, crop) if offset is None else offset
    shift = checked.new_tensor([left, top] * 2)
    scaled = checked / _edges("image_size", image_size, checked) * _edges("resize", resize, checked)
    moved = (scaled - shift).trunc().to(torch.int64)
    low = moved[:, :2].clamp(min=0)
    high = torch.minimum(moved[:, 2:], moved.new_tensor([crop[1] - 1, crop[0] - 1]))
    return torch.cat((low, high), dim=1)


def _checked(name: str, boxes: Tensor) -> Tensor:
    if not isinstance(boxes, Tensor):
        raise TypeError(f"{name} must be a tensor (N, 4), got {type(boxes).__name__}")
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{name} must be (N, 4), got shape {tuple(boxes.shape)}")
    return boxes.to(torch.float64)


def _checked_size(name: str, size: tuple[int, int]) -> tuple[int, int]:
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"{name} must be (H, W), each at least 1, got {size}")
    return checked_size(size, f"{name} must be (H, W)")


def _edges(name: str, size: BoxSizes, boxes: Tensor) -> Tensor:
    """Return (W, H, W, H) of a size (H, W), or of one for each box, on the boxes' device and in their dtype."""
    if not isinstance(size, (Tensor, np.ndarray)) or size.ndim != 2:
        height, width = _checked_size(name, size)  # type: ignore[arg-type]  # a tensor of two is refused there
        return boxes.new_tensor([width, height] * 2)
    sizes = torch.as_tensor(size, device=boxes.device)
    if sizes.shape != (len(boxes), 2) or sizes.is_floating_point():
        wanted = f"{name} must be (H, W) or ({len(boxes)}, 2) in whole pixels"
        raise ValueError(f"{wanted}, got {sizes.dtype} of shape {tuple(sizes.shape)}")
    # On a GPU the values are not looked at: that would wait for it.
    if sizes.device.type == "cpu" and len(sizes) and int(sizes.min()) < 1:
        raise ValueError(f"{name} must be (H, W), each at least 1, got {int(sizes.min())}")
    return sizes.to(boxes.dtype).flip(1).repeat(1, 2)


def _check_devices(a: Tensor, b: Tensor) -> None:
    if a.device != b.device:
        raise ValueError(f"a and b must be on one device, got {a.device} and {b.device}")
