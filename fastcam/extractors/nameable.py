"""Which modules of a network can be named as features, and what their maps are: :func:`nameable_maps`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastcam.extractors.attachment import Attachment
from fastcam.extractors.gradient_source import GradientSource, heard_maps, reaches
from fastcam.extractors.layout import Layout
from fastcam.extractors.recording import record

__all__ = ["NameableMaps", "nameable_maps"]


@dataclass(frozen=True)
class NameableMaps:
    """A module's output that can be named as features.

    Attributes:
        features: the module.
        layout: of its output.
        channels: C.
        grid: (h, w).
        reaches: whether most of the positions have a gradient of the logits: where not (behind the last attention of a
            class token's network), a gradient map is empty.
        is_pooled: whether they are what the network's linear map is made of.
    """

    features: str
    layout: Layout
    channels: int
    grid: tuple[int, int]
    reaches: bool
    is_pooled: bool

    def __str__(self) -> str:
        return f"{self.features!r} {self.layout}, {self.channels} channels on {self.grid[0]}x{self.grid[1]}"


def nameable_maps(
    model: nn.Module, images: Tensor, source: Attachment | GradientSource | None = None
) -> tuple[NameableMaps, ...]:
    """List the outputs of modules that are maps, or tokens, of several positions of the picture.

    Args:
        model: a classifier in eval mode.
        images: (N, 3, H, W), of which one is used.
        source: what was found in it, to say which hold the same values.

    Returns:
        In the order in which the modules end; of one that is called several times the last call.

    Example:
        >>> from fastcam.models import VGG16
        >>> found = nameable_maps(VGG16(num_classes=5, width=1 / 16).eval(), torch.rand(1, 3, 64, 64))
        >>> str(found[-1])
        "'relu6' (N, C, h, w), 64 channels on 4x4"
    """
    recording = record(model, images)
    maps = list(heard_maps(recording))
    tensors = [tensor for _, tensor, _ in maps]
    with torch.enable_grad():
        logits = recording.logits.max()
        known = bool(tensors) and logits.requires_grad
        gradients = torch.autograd.grad(logits, tensors, allow_unused=True) if known else [None] * len(tensors)
    pooled = None
    if isinstance(source, Attachment):
        pooled = source.layout.flat(recording.tensor(source.features))
    found: dict[str, NameableMaps] = {}
    for (call, tensor, layout), gradient in zip(maps, gradients, strict=True):
        planes, flat = layout.planes(tensor, recording.grid), layout.flat(tensor)
        same = pooled is not None and flat.shape == pooled.shape and torch.equal(flat, pooled)
        found.pop(call.name, None)
        grid = (planes.shape[2], planes.shape[3])
        reach = reaches(gradient, layout, recording.grid)
        found[call.name] = NameableMaps(call.name, layout, planes.shape[1], grid, reach, same)
    return tuple(found.values())
