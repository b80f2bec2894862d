"""From a picture to a network's input, and from the input's pixels back to the picture's: :class:`Inputs`."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcam.boxes import BoxEnds, BoxSizes, crop_boxes, resize_boxes
from fastcam.fitting import CropOffset, Placement, covering_size, crop_offset

__all__ = ["CROP", "GEOMETRIES", "IMAGENET_MEAN", "IMAGENET_STD", "MOST_INPUT_PIXELS", "RESIZE", "Filter", "Inputs"]

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)

MOST_INPUT_PIXELS: Final = 1 << 23
"""How many pixels the input may have that a checkpoint asks for, 2896x2896; a size that the user says may be larger."""

Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]


_CHOICES: Final = {
    "filter": get_args(Filter),
    "fit": ("stretch", "cover"),
    "crop_offset": get_args(CropOffset),
    "channels": ("rgb", "bgr"),
}


@dataclass(frozen=True)
class Inputs:
    """What a network sees of a picture: a resize, perhaps a crop at its centre, colours.

    ``localize``, ``train``, ``evaluate`` and ``reproduce`` all take their pixels from here, and a checkpoint records
    it, so that a network sees the same pixels everywhere. Without a crop nothing of the picture is hidden from
    localization; the price is the aspect ratio.

    Attributes:
        resize: (H, W) in pixels that the whole picture is resized to, or that it covers: see ``fit``.
        crop: (H, W) of the centre crop; None for none.
        filter: of the resize, Pillow's of that name: ``"bilinear"``, ``"bicubic"``, ...; antialiased where the picture
            shrinks, except ``"nearest"``.
        mean: of red, green and blue, on the scale where white is 1.
        std: likewise.
        fit: ``"stretch"``: the picture is resized to ``resize`` whatever its aspect; ``"cover"``: it keeps its aspect
            and just covers ``resize`` (:func:`fastcam.fitting.covering_size`), of which a crop is taken.
        crop_offset: where the crop lies if an odd number of pixels is left over (:func:`fastcam.fitting.crop_offset`).
        channels: the order in which the network takes them, ``"rgb"`` or ``"bgr"``.

    Raises:
        ValueError: a size below 1, a crop larger than the resized picture, a choice that does not exist, not three
            channels, a std that is not positive, or ``fit="cover"`` without a crop.

    Example:
        >>> RESIZE.size, CROP.size
        ((224, 224), (224, 224))
        >>> Inputs(resize=(64, 96))(np.zeros((300, 451, 3), np.uint8)).shape
        torch.Size([3, 64, 96])
        >>> RESIZE.boxes(np.array([[60.0, 27, 385, 331]]), (335, 500), ends="exclusive").tolist()
        [[26, 18, 172, 221]]
        >>> CROP.boxes(np.array([[60.0, 27, 385, 331]]), (335, 500), ends="exclusive").tolist()
        [[14, 4, 180, 223]]
        >>> Inputs((256, 256), (224, 224), fit="cover").placed((375, 500)).resized
        (256, 341)
    """

    resize: tuple[int, int] = (224, 224)
    crop: tuple[int, int] | None = None
    filter: Filter = "bilinear"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    fit: Literal["stretch", "cover"] = "stretch"
    crop_offset: CropOffset = "floor"
    channels: Literal["rgb", "bgr"] = "rgb"

    def __post_init__(self) -> None:
        for name in ("resize", "crop"):
            size = getattr(self, name)
            if size is not None:
                object.__setattr__(self, name, _checked_size(name, size))
        if self.size[0] > self.resize[0] or self.size[1] > self.resize[1]:
            raise ValueError(f"crop must fit in resize={self.resize}, got {self.crop}")
        for name, choices in _CHOICES.items():
            if not isinstance(chosen := getattr(self, name), str) or chosen not in choices:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {reprlib.repr(chosen)}")
        if self.fit == "cover" and self.crop is None:
            raise ValueError("fit='cover' needs a crop: without, pictures of other aspects give inputs of other sizes")
        for name in ("mean", "std"):
            object.__setattr__(self, name, _checked_channels(name, getattr(self, name)))
        if not all(value > 0 for value in self.std):
            raise ValueError(f"std must be positive, got {self.std!r}")

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the network's input, the pixels that are evaluated."""
        return self.resize if self.crop is None else self.crop

    def placed(self, image_size: tuple[int, int]) -> Placement:
        """Return where the input lies in a picture of a size (H, W)."""
        resized = self.resize if self.fit == "stretch" else covering_size(image_size, self.resize)
        return Placement(image_size, resized, crop_offset(resized, self.size, self.crop_offset), self.size)

    def replace(self, **changes: Any) -> Inputs:  # noqa: ANN401
        """Return a copy with some fields changed."""
        return replace(self, **changes)

    def __call__(self, picture: NDArray[Any] | Tensor) -> Tensor:
        """Turn one picture, as :meth:`picture` takes it, into the network's input, (3, h, w) float32.

        Example:
            >>> grey = np.full((20, 30), 0.5)
            >>> round(Inputs((2, 2), mean=(0, 0, 0), std=(1, 1, 1))(grey)[0, 0, 0].item() * 255)
            128
        """
        return self.normalized(self.tensor(picture)[None])[0]

    def picture(self, pixels: NDArray[Any] | Tensor) -> NDArray[np.uint8]:
        """Resize a picture (Pillow's filter, as torchvision's ``Resize`` has it) and crop it.

        Args:
            pixels: one picture, RGB (H, W, 3) or grey (H, W), or as a tensor (3, H, W), (1, H, W) or (H, W); uint8, or
                floating point in [0, 1], which is rounded to 8 bits.

        Returns:
            (h, w, 3) uint8, (h, w) being :attr:`size`.

        Raises:
            ImportError: Pillow is not installed.
            PictureError: another shape, such as a batch's, or values outside [0, 1]; a ValueError.
            TypeError: neither an array nor a tensor.
        """
        # Here, because the rest of this class needs no Pillow.
        from PIL import Image

        from fastcam.images import as_pixels

        if not isinstance(pixels, (np.ndarray, Tensor)):
            raise TypeError(f"pixels must be an array or a tensor, got {type(pixels).__name__}")
        pixels = as_pixels(pixels)
        place = self.placed(pixels.shape[:2])
        whole, how = Image.fromarray(pixels), Image.Resampling[self.filter.upper()]
        if not place.is_large:
            return place.cropped(np.asarray(whole.resize(place.resized[::-1], how)))
        left, top, right, bottom = place.region
        return np.asarray(whole.resize(self.size[::-1], how, box=(left, top, right, bottom)))

    def tensor(self, pixels: NDArray[Any] | Tensor) -> Tensor:
        """:meth:`picture` as a tensor (3, h, w) uint8: what a batch is stacked from."""
        return torch.from_numpy(self.picture(pixels).copy()).permute(2, 0, 1)

    def normalized(self, images: Tensor) -> Tensor:
        """Turn images, on any device, into float32: ``(x / 255 - mean) / std``, then in the order of :attr:`channels`.

        Args:
            images: (N, 3, h, w) or (3, h, w), RGB, uint8, or floating point in [0, 1], which is not divided by 255.

        Raises:
            TypeError: another dtype.
            ValueError: another shape, or a value outside [0, 1]. To look at them, a CUDA device is waited for; of uint8
                nothing needs to be looked at.
        """
        if images.dim() < 3 or images.shape[-3] != 3:
            raise ValueError(f"images must be (N, 3, h, w) or (3, h, w), got shape {tuple(images.shape)}")
        if images.is_floating_point():
            if images.numel() and not bool(((images >= 0) & (images <= 1)).all()):
                low, high = (float(value) for value in images.detach().float().aminmax())
                raise ValueError(
                    f"images in floating point must lie in [0, 1], got {low:g} to {high:g}; normalized already, "
                    "or levels up to 255?"
                )
            scaled = images.float()
        elif images.dtype == torch.uint8:
            scaled = images / 255
        else:
            raise TypeError(f"images must be uint8, or floating point in [0, 1], got {images.dtype}")
        mean, std = (torch.tensor(values, device=images.device)[:, None, None] for values in (self.mean, self.std))
        normalized = (scaled - mean) / std
        return normalized if self.channels == "rgb" else normalized.flip(-3)

    def boxes(
        self, boxes: NDArray[np.float64], image_size: BoxSizes, *, ends: BoxEnds = "inclusive"
    ) -> NDArray[np.int64]:
        """Move ground truth to the network's pixels, as the field's code for this geometry truncates it.

        Without a crop: ``int(x * size / image_size)`` (wsolevaluation), whatever x1 and y1 mean. With one:
        ``int(x / image_size * resize - shift)`` of the last pixels, clipped to the crop (the paper's code).

        Args:
            boxes: (G, 4), x0, y0, x1, y1 in pixels of the picture.
            image_size: (H, W) of the picture; or (G, 2), one for each box, where ``fit`` is ``"stretch"``.
            ends: whether x1 and y1 are the last pixels inside or the first outside.

        Returns:
            (G, 4) int64, to be compared inclusively. Of a box outside the crop x1 < x0 or y1 < y0.
        """
        given = torch.from_numpy(np.asarray(boxes, dtype=np.float64))
        if self.crop is None:
            moved = resize_boxes(given, image_size, self.resize)
        else:
            last = given - given.new_tensor([0, 0, 1, 1]) if ends == "exclusive" else given
            place = self.placed(self.resize if isinstance(image_size, (np.ndarray, Tensor)) else image_size)
            moved = crop_boxes(last, image_size, resize=place.resized, crop=self.crop, offset=place.offset)
        result: NDArray[np.int64] = moved.numpy()
        return result

    def to_picture(self, boxes: NDArray[Any], image_size: tuple[int, int]) -> NDArray[np.float64]:
        """Move boxes from the network's pixels back to those of the picture.

        Args:
            boxes: (..., 4), half-open, in pixels of :attr:`size`.
            image_size: (H, W) of the picture.

        Returns:
            (..., 4) float64, half-open.

        Example:
            >>> CROP.to_picture(np.array([0, 0, 224, 224]), (512, 256)).tolist()
            [16.0, 32.0, 240.0, 480.0]
        """
        return self.placed(image_size).to_picture(boxes)

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
        place = self.placed((mask.shape[0], mask.shape[1]))
        return place.cropped(cv2.resize(mask, place.resized[::-1], interpolation=cv2.INTER_NEAREST))

    def to_mapping(self) -> dict[str, Any]:
        """Return what :meth:`from_mapping` takes, as a checkpoint holds it: strings, numbers and lists."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Inputs:
        """Make one from a checkpoint's values.

        Raises:
            ValueError: an unknown key, or a value of another type or out of range.

        Example:
            >>> Inputs.from_mapping(CROP.to_mapping()) == CROP
            True
        """
        known = {one.name for one in fields(cls)}
        unknown = [name for name in values if name not in known]
        if unknown:
            raise ValueError(f"inputs have no {reprlib.repr(unknown)}; there are {', '.join(sorted(known))}")
        inputs = cls(**values)
        for name, (height, width) in (("resize", inputs.resize), ("crop", inputs.size)):
            if height * width > MOST_INPUT_PIXELS:
                raise ValueError(
                    f"{name} may have {MOST_INPUT_PIXELS} pixels where a file says it, got {(height, width)}; "
                    "say the size yourself"
                )
        return inputs


def _checked_size(name: str, size: Any) -> tuple[int, int]:  # noqa: ANN401
    whole = isinstance(size, Sequence) and len(size) == 2 and all(type(length) is int for length in size)
    if not whole or min(size) < 1:
        raise ValueError(f"{name} must be (H, W), each at least 1, got {reprlib.repr(size)}")
    return size[0], size[1]


def _checked_channels(name: str, values: Any) -> tuple[float, ...]:  # noqa: ANN401
    numbers = isinstance(values, Sequence) and len(values) == 3
    if not numbers or not all(type(value) in (int, float) and math.isfinite(value) for value in values):
        raise ValueError(f"{name} must have three finite values, got {reprlib.repr(values)}")
    return tuple(map(float, values))


RESIZE: Final = Inputs()
"""The whole picture at 224x224 (wsolevaluation)."""

CROP: Final = Inputs(resize=(256, 256), crop=(224, 224))
"""The whole picture at 256x256, of which the middle 224x224 (the paper's code)."""

GEOMETRIES: Final[dict[str, Inputs]] = {"resize": RESIZE, "crop": CROP}
"""The two geometries of the field by the names the command line takes."""
