"""How a picture, its boxes and its masks come to the pixels that are evaluated: :class:`Geometry`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from fastcam.boxes import crop_boxes, resize_boxes
from fastcam.data.record import BoxEnd

__all__ = ["CROP", "GEOMETRIES", "RESIZE", "Geometry"]


@dataclass(frozen=True)
class Geometry:
    """A resize of the whole picture that ignores its aspect ratio, and perhaps a crop at its centre.

    Attributes:
        resize: (H, W) in pixels.
        crop: (H, W) of the centre crop; None for none.

    Raises:
        ValueError: a size below 1, or a crop larger than the resized picture.

    Example:
        >>> RESIZE.size, CROP.size
        ((224, 224), (224, 224))
        >>> RESIZE.boxes(np.array([[60.0, 27, 385, 331]]), (335, 500), box_end="exclusive").tolist()
        [[26, 18, 172, 221]]
        >>> CROP.boxes(np.array([[60.0, 27, 385, 331]]), (335, 500), box_end="exclusive").tolist()
        [[14, 4, 180, 223]]
    """

    resize: tuple[int, int] = (224, 224)
    crop: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name, size in (("resize", self.resize), ("crop", self.size)):
            if len(size) != 2 or min(size) < 1:
                raise ValueError(f"{name} must be (H, W), each at least 1, got {size}")
        if self.size[0] > self.resize[0] or self.size[1] > self.resize[1]:
            raise ValueError(f"crop must fit in resize={self.resize}, got {self.crop}")

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of what is evaluated."""
        return self.resize if self.crop is None else self.crop

    def boxes(
        self, boxes: NDArray[np.float64], image_size: tuple[int, int], *, box_end: BoxEnd = "inclusive"
    ) -> NDArray[np.int64]:
        """Move ground truth to the evaluated pixels, as the reference of this geometry truncates it.

        Without a crop: ``int(x * size / image_size)`` (wsolevaluation), whatever x1 and y1 mean. With one:
        ``int(x / image_size * resize - shift)`` of the last pixels, clipped to the crop (the paper's code).

        Args:
            boxes: (G, 4), x0, y0, x1, y1 in pixels of the picture.
            image_size: (H, W) of the picture.
            box_end: whether x1 and y1 are the last pixels inside or the first outside.

        Returns:
            (G, 4) int64, to be compared inclusively. Of a box outside the crop x1 < x0 or y1 < y0.
        """
        given = torch.from_numpy(np.asarray(boxes, dtype=np.float64))
        if self.crop is None:
            moved = resize_boxes(given, image_size, self.resize)
        else:
            last = given - torch.tensor([0, 0, 1, 1]) if box_end == "exclusive" else given
            moved = crop_boxes(last, image_size, resize=self.resize, crop=self.crop)
        result: NDArray[np.int64] = moved.numpy()
        return result

    def picture(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize a picture (Pillow's bilinear filter, as torchvision's ``Resize`` has it) and crop it.

        Args:
            pixels: (H, W, 3) uint8.

        Returns:
            (h, w, 3) uint8, (h, w) being :attr:`size`.
        """
        height, width = self.resize
        small = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
        return self._cropped(np.asarray(small))

    def mask(self, mask: NDArray[Any]) -> NDArray[Any]:
        """Resize a mask (OpenCV's nearest neighbour, as wsolevaluation does) and crop it.

        Args:
            mask: (H, W) of a type that OpenCV takes.

        Returns:
            (h, w) of the same type, (h, w) being :attr:`size`.

        Raises:
            ImportError: OpenCV is not installed.
        """
        try:
            import cv2
        except ImportError as error:
            raise ImportError('masks need OpenCV: pip install "fastcam[evaluation]"') from error
        height, width = self.resize
        return self._cropped(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST))

    def to_picture(self, boxes: NDArray[Any], image_size: tuple[int, int]) -> NDArray[np.float64]:
        """Move boxes from the evaluated pixels back to those of the picture.

        Args:
            boxes: (N, 4), half-open, in evaluated pixels.
            image_size: (H, W) of the picture.

        Returns:
            (N, 4) float64, half-open.
        """
        shift = np.array([(self.resize[1] - self.size[1]) // 2, (self.resize[0] - self.size[0]) // 2] * 2)
        scale = np.array([image_size[1] / self.resize[1], image_size[0] / self.resize[0]] * 2)
        return np.asarray((np.asarray(boxes, dtype=np.float64) + shift) * scale)

    def _cropped(self, pixels: NDArray[Any]) -> NDArray[Any]:
        top, left = ((whole - part) // 2 for whole, part in zip(self.resize, self.size, strict=True))
        return np.ascontiguousarray(pixels[top : top + self.size[0], left : left + self.size[1]])


RESIZE: Final = Geometry()
"""The whole picture at 224x224 (wsolevaluation)."""

CROP: Final = Geometry(resize=(256, 256), crop=(224, 224))
"""The whole picture at 256x256, of which the middle 224x224 (the paper's code)."""

GEOMETRIES: Final[dict[str, Geometry]] = {"resize": RESIZE, "crop": CROP}
"""The geometries by the names the command line takes."""
