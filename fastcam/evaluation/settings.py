"""How score maps are evaluated: :class:`Settings`."""

from __future__ import annotations

from dataclasses import dataclass

from fastcam.inputs import RESIZE, Inputs

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """How score maps are evaluated.

    Attributes:
        inputs: how the pictures came to the evaluated pixels.
        iou_thresholds: IoUs at which a box is right.
        num_thresholds: thresholds are ``np.arange(0, 1, 1 / num_thresholds)``.
        batch_size: images at a time.
        workers: processes that read; 0 reads in this one.
    """

    inputs: Inputs = RESIZE
    iou_thresholds: tuple[float, ...] = (0.3, 0.5, 0.7)
    num_thresholds: int = 1000
    batch_size: int = 64
    workers: int = 0
