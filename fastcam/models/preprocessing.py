"""From a picture to a network's input: :class:`Preprocessing`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Preprocessing"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """Resizes the whole picture to the network's input, without a crop, and normalizes it.

    A crop, as used to measure accuracy, would hide the border of the picture from localization; without one a box
    scales back to the picture by two factors. The price is the aspect ratio.

    Attributes:
        size: (H, W) of the network's input, in pixels.
        mean: of red, green and blue, on the scale where white is 1.
        std: likewise.

    Raises:
        ValueError: a size below 1, not three channels, or a std that is not positive.

    Example:
        >>> import numpy as np
        >>> Preprocessing(size=(224, 224))(np.zeros((300, 451, 3), np.uint8)).shape
        torch.Size([3, 224, 224])
    """

    size: tuple[int, int] = (224, 224)
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f"size must be (H, W), at least 1 each, got {self.size!r}")
        if len(self.mean) != 3 or len(self.std) != 3:
            raise ValueError(f"mean and std must have three values each, got {self.mean!r} and {self.std!r}")
        if not all(value > 0 for value in self.std):
            raise ValueError(f"std must be positive, got {self.std!r}")

    def __call__(self, picture: NDArray[np.uint8]) -> Tensor:
        """Turn a picture into the network's input.

        Args:
            picture: (H, W, 3) uint8, RGB.

        Returns:
            (3, h, w) float32, with (h, w) the size: bicubic, antialiased where it shrinks.
        """
        pixels = torch.from_numpy(picture).permute(2, 0, 1)[None]
        # On uint8 itself the resize is several times faster than on floats, and rounds as other image tools do.
        small = F.interpolate(pixels, self.size, mode="bicubic", antialias=True)[0]
        mean, std = torch.tensor(self.mean)[:, None, None], torch.tensor(self.std)[:, None, None]
        return (small / 255 - mean) / std
