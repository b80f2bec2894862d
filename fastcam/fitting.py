"""How a picture is fitted into a network's input: the size that it is resized to, and where the crop lies in that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["CropOffset", "Placement", "covering_size", "crop_offset"]

_LARGE = 1 << 26  # pixels: a narrow picture that is resized to cover a square may have any number

CropOffset = Literal["floor", "round"]
"""What an odd number of pixels beside a crop is halved to: rounded down, or to the nearest even number."""


def covering_size(image_size: tuple[int, int], least: tuple[int, int]) -> tuple[int, int]:
    """Return the least size of a picture's own aspect that covers another.

    Of a square the longer edge is ``int(size * long / short)``, as in torchvision's ``Resize(size)``; of another
    rectangle both edges are rounded, as in timm's ``ResizeKeepRatio``.

    Args:
        image_size: (H, W) of the picture.
        least: (H, W) to be covered.

    Returns:
        (H, W), no edge shorter than that of ``least``.

    Example:
        >>> covering_size((375, 500), (256, 256)), covering_size((500, 375), (256, 320))
        ((256, 341), (427, 320))
    """
    height, width = image_size
    if least[0] == least[1]:
        longer = int(least[0] * max(image_size) / min(image_size))
        return (longer, least[1]) if width <= height else (least[0], longer)
    ratio = min(height / least[0], width / least[1])
    return max(least[0], round(height / ratio)), max(least[1], round(width / ratio))


def crop_offset(size: tuple[int, int], crop: tuple[int, int], rounding: CropOffset = "floor") -> tuple[int, int]:
    """Return (top, left) of a crop at the centre.

    Args:
        size: (H, W) of the whole.
        crop: (H, W).
        rounding: ``"floor"`` as the paper's code and ``transformers`` have it, ``"round"`` as torchvision and timm do.

    Example:
        >>> crop_offset((227, 229), (224, 224)), crop_offset((227, 229), (224, 224), "round")
        ((1, 2), (2, 2))
    """
    spare = [whole - part for whole, part in zip(size, crop, strict=True)]
    if rounding == "floor":
        return spare[0] // 2, spare[1] // 2
    return round(spare[0] / 2), round(spare[1] / 2)


@dataclass(frozen=True)
class Placement:
    """Where a network's input lies in a picture.

    Attributes:
        image_size: (H, W) of the picture.
        resized: (H, W) that it is resized to.
        offset: (top, left) of the input in that.
        size: (H, W) of the input.

    Example:
        >>> place = Placement((512, 256), (256, 256), (16, 16), (224, 224))
        >>> place.region.tolist(), place.cropped(np.zeros((256, 256))).shape
        ([16.0, 32.0, 240.0, 480.0], (224, 224))
    """

    image_size: tuple[int, int]
    resized: tuple[int, int]
    offset: tuple[int, int]
    size: tuple[int, int]

    @property
    def is_large(self) -> bool:
        """Whether the resized picture had better not be made as a whole."""
        return self.resized[0] * self.resized[1] > _LARGE

    @property
    def region(self) -> NDArray[np.float64]:
        """(4,) x0, y0, x1, y1, half-open, of the input in the picture's pixels."""
        return self.to_picture(np.array([0, 0, self.size[1], self.size[0]]))

    def to_picture(self, boxes: NDArray[Any]) -> NDArray[np.float64]:
        """Move boxes (..., 4), half-open, from the input's pixels to those of the picture."""
        (height, width), (top, left) = self.resized, self.offset
        scale = np.array([self.image_size[1] / width, self.image_size[0] / height] * 2)
        return np.asarray((np.asarray(boxes, dtype=np.float64) + np.array([left, top] * 2)) * scale)

    def cropped(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Take the input out of the resized picture, (H, W) or (H, W, C)."""
        top, left = self.offset
        return np.ascontiguousarray(pixels[top : top + self.size[0], left : left + self.size[1]])

    def over_picture(self, values: NDArray[Any]) -> NDArray[Any]:
        """Lay a map (h, w) of the input, of any size, over the whole picture: 0 around what a crop kept.

        Returns:
            A map that covers the picture: the same where the input does, else float64 of the resized picture's size,
            or of the picture's own where that is large.

        Raises:
            ImportError: Pillow is not installed.

        Example:
            >>> Placement((9, 9), (4, 4), (1, 1), (2, 2)).over_picture(np.ones((2, 2))).sum(0).tolist()
            [0.0, 2.0, 2.0, 0.0]
        """
        if self.size == self.resized:
            return values
        from PIL import Image

        (top, left), (rows, columns) = self.offset, self.size
        size, box = self.resized, (left, top, left + columns, top + rows)
        if self.is_large:
            x0, y0, x1, y1 = (round(value) for value in self.region.tolist())
            size, box = self.image_size, (x0, y0, max(x1, x0 + 1), max(y1, y0 + 1))
        whole, (x0, y0, x1, y1) = np.zeros(size), box
        small = Image.fromarray(values.astype(np.float32)).resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR)
        part = whole[y0:y1, x0:x1]
        part[:] = np.asarray(small)[: part.shape[0], : part.shape[1]]
        return whole
