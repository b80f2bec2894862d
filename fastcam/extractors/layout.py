"""How a tensor of features holds channels and positions: :class:`Layout`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Layout", "grid", "possible_layouts"]


@dataclass(frozen=True)
class Layout:
    """Which dimension holds the channels, and how many tokens stand in front of those that have a place in the picture.

    Attributes:
        dims: 4 for maps, (N, C, h, w) or (N, h, w, C), 5 for those of three axes of positions; 3 for tokens, (N, L, C)
            or (N, C, L).
        channels: 1, or the last dimension.
        prefix: tokens without a place: class, distillation and register tokens.
    """

    dims: int
    channels: int
    prefix: int = 0

    def __str__(self) -> str:
        names = {(4, 1): "(N, C, h, w)", (4, 3): "(N, h, w, C)", (3, 2): "(N, L, C)", (3, 1): "(N, C, L)"}
        names |= {(5, 1): "(N, C, d, h, w)", (5, 4): "(N, d, h, w, C)"}
        tokens = "" if self.prefix == 0 else f" without the first {self.prefix} token{'s' * (self.prefix > 1)}"
        return names[self.dims, self.channels] + tokens

    def flat(self, tensor: Tensor) -> Tensor:
        """Return features as (N, C, positions), for maps and for tokens, without a copy where strides can say it."""
        return tensor.movedim(self.channels, 1).flatten(2)[:, :, self.prefix :]

    def planes(self, tensor: Tensor, size: tuple[int, ...]) -> Tensor:
        """Return features as (N, C, h, w), a view.

        Args:
            tensor: features of this layout.
            size: (H, W) of the images, whose aspect the grid of tokens has; of sound its length: tokens are in a row.

        Raises:
            ValueError: the tokens are no grid of that aspect.

        Example:
            >>> import torch
            >>> Layout(3, 2, prefix=1).planes(torch.rand(2, 1 + 6, 8), (32, 48)).shape
            torch.Size([2, 8, 2, 3])
        """
        channels_first = tensor.movedim(self.channels, 1)
        if self.dims > 3:
            return channels_first
        tokens = channels_first[:, :, self.prefix :]
        if len(size) == 1:
            return tokens
        if len(size) != 2:
            raise ValueError(f"tokens of images of {len(size)} axes are no grid, got {tokens.shape[2]} of them")
        rows, columns = grid(tokens.shape[2], (size[0], size[1]))
        return tokens.reshape(*tokens.shape[:2], rows, columns)


def grid(tokens: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return the rows and columns of tokens that cover an image in patches of one size.

    Args:
        tokens: how many.
        size: (H, W) of the image.

    Raises:
        ValueError: no grid of so many tokens has about that aspect.

    Example:
        >>> grid(280, (224, 320))
        (14, 20)
    """
    wanted = math.sqrt(tokens * size[0] / size[1])
    divisors = [rows for rows in range(1, tokens + 1) if tokens % rows == 0]
    rows = min(divisors, key=lambda rows: abs(rows - wanted), default=0)
    if rows == 0 or abs(rows - wanted) >= 1:
        raise ValueError(f"{tokens} tokens are no grid of the aspect of images of {size[0]}x{size[1]} pixels")
    return rows, tokens // rows


def possible_layouts(tensor: Tensor, channels: int, positions: int) -> Iterator[Layout]:
    """Yield the layouts in which a tensor can hold so many channels and positions."""
    shape = tensor.shape
    for dim in (1, tensor.dim() - 1):
        if tensor.dim() not in (3, 4) or shape[dim] != channels:
            continue
        prefix = shape[1:].numel() // channels - positions
        if prefix == 0 or (prefix > 0 and tensor.dim() == 3):
            yield Layout(tensor.dim(), dim, prefix)
