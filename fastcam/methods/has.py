"""HaS: hide random patches of the image, so that no single part is always there."""

from __future__ import annotations

import torch
from torch import Tensor

from fastcam.methods.fraction import checked_fraction
from fastcam.methods.method import Method, Outcome
from fastcam.models.classifier import Classifier

__all__ = ["HaS", "hide_patches"]


def hide_patches(images: Tensor, patch: int, drop_rate: float) -> Tensor:
    """Set patches of a regular grid to 0, each with the same probability, drawn for every image and patch.

    Args:
        images: (N, C, H, W). Where they are normalized 0 is the mean colour, which keeps the statistics of the first
            layer as at test time.
        patch: side of a patch in pixels; those at the right and bottom may be cut.
        drop_rate: probability with which a patch is hidden.

    Returns:
        A new (N, C, H, W).

    Example:
        >>> _ = torch.manual_seed(0)
        >>> hide_patches(torch.ones(1, 1, 2, 4), 2, 0.5)
        tensor([[[[0., 0., 1., 1.],
                  [0., 0., 1., 1.]]]])
    """
    n, _, height, width = images.shape
    kept = (torch.rand(n, 1, -(-height // patch), -(-width // patch)) >= drop_rate).to(images.device)
    mask = kept.repeat_interleave(patch, 2).repeat_interleave(patch, 3)[:, :, :height, :width]
    return images * mask


class HaS(Method):
    """Hide-and-Seek (Singh and Lee, ICCV 2017) for training; at test time nothing is hidden.

    Args:
        patch: side of a patch in pixels. The number in "HaS-32" is this one, not a number of cells.
        drop_rate: probability with which a patch is hidden.

    Raises:
        ValueError: a patch below 1, or a rate outside [0, 1].
    """

    name = "has"

    def __init__(self, patch: int = 32, drop_rate: float = 0.5) -> None:
        super().__init__()
        if isinstance(patch, bool) or not isinstance(patch, int) or patch < 1:
            raise ValueError(f"patch must be a whole number of pixels, at least 1, got {patch!r}")
        self.patch = patch
        self.drop_rate = checked_fraction("drop_rate", drop_rate)

    def forward(self, model: Classifier, images: Tensor, labels: Tensor) -> Outcome:
        """Return the cross-entropy on images with patches hidden."""
        return super().forward(model, hide_patches(images, self.patch, self.drop_rate), labels)

    def extra_repr(self) -> str:
        """Return what is between the brackets of the module's repr."""
        return f"patch={self.patch}, drop_rate={self.drop_rate}"
