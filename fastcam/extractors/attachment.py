"""Where a network's class activation maps come from, found and proved without names: :func:`attach`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastcam.extractors.hooks import Heard, first_tensor
from fastcam.extractors.layout import Layout, possible_layouts
from fastcam.extractors.linear_map import LinearMap, linear_map
from fastcam.extractors.linear_walk import NoLinearMapError
from fastcam.extractors.recording import Recording, record

__all__ = ["Attachment", "attach", "state_of"]


@dataclass(frozen=True, eq=False)
class Attachment:
    """What gives a network's class activation maps.

    Attributes:
        features: the module whose output (``"name:input"``: whose first input) is pooled over its positions.
        layout: of that tensor.
        pooling: ``"mean"``, ``"sum"``, ``"max"`` or ``"TAP(threshold)"``.
        classifier: the module whose own weight is the maps', None where it is folded from several.
        weight: (K, C), of the features' dtype.
        folded: what the weight holds beside the classifier's: ``"batch norm"``, ``"layer norm"``, ``"scale"``, ...
        difference: by how much pooled features times weight missed the logits, as a share of the largest.
        state: what :func:`state_of` said of the network when it was read.
        stem: of tokens, the convolution that cuts the picture, whose output has their grid's aspect; empty where there
            is none, and the image has it.
    """

    features: str
    layout: Layout
    pooling: str
    classifier: str | None
    weight: Tensor
    folded: tuple[str, ...]
    difference: float
    state: tuple[object, ...]
    stem: str = ""

    @property
    def classes(self) -> int:
        """K, the number of classes."""
        return self.weight.shape[0]

    def __str__(self) -> str:
        head = f"classifier={self.classifier!r}"
        if self.classifier is None:
            head = f"weight folded from {', '.join(self.folded)}" if self.folded else "class maps"
        return (
            f"features={self.features!r} {self.layout}, pooled by {self.pooling}, {head}; "
            f"explains the logits to {self.difference:.1e} of the largest"
        )


@torch.no_grad()
def attach(model: nn.Module, images: Tensor, recording: Recording | None = None) -> Attachment:
    """Find the features and the weight whose class activation maps are the network's own.

    One forward pass of one image is recorded, operator by operator. From the logits the walk goes back through what is
    linear for a given image (linear layers, normalization, scales) to the pooling over positions, and on to the module
    that gave its input. What the operators promise is compared with the logits before it is believed.

    Args:
        model: a classifier in eval mode, whose output is its logits, or has them as ``.logits``.
        images: (N, 3, H, W), of which one is used.
        recording: a pass of such an image, where there was one.

    Raises:
        NoLinearMapError: there is no linear map; the message says why.

    Example:
        >>> from fastcam.models import VGG16
        >>> found = attach(VGG16(num_classes=5, width=1 / 16).eval(), torch.rand(2, 3, 64, 64))
        >>> found.pooling, found.classifier
        ('mean', 'classifier')
    """
    recording = recording or record(model, images)
    found = linear_map(recording.trace, recording.logits)
    features, layout = _source(recording.heard, found.features)
    weight = found.weight.to(found.features.dtype)
    classifier = _owner(recording.root, found) if not found.folded else None
    state = state_of(recording.root)
    stem = recording.stem if layout.dims == 3 else ""
    return Attachment(features, layout, found.pooling, classifier, weight, found.folded, found.difference, state, stem)


def state_of(model: nn.Module) -> tuple[object, ...]:
    """Return what changes whenever a parameter or a buffer is replaced or written."""
    tensors = [*model.parameters(), *model.buffers()]
    return tuple((id(one), one.data_ptr(), None if one.is_inference() else one._version) for one in tensors)


def _source(heard: list[Heard], features: Tensor) -> tuple[str, Layout]:
    """The outermost module that gave the features: maps before tokens, outputs before inputs."""
    fits = list(_fitting(heard, features))
    if not fits:
        raise NoLinearMapError("what is pooled is no module's output or input, so hooks cannot reach it")

    def rank(fit: tuple[int, str, Layout]) -> tuple[int, bool, int, int]:
        order, name, layout = fit
        return -layout.dims, name.endswith(":input"), name.count("."), -order

    _, name, layout = min(fits, key=rank)
    return name, layout


def _fitting(heard: list[Heard], features: Tensor) -> Iterator[tuple[int, str, Layout]]:
    for order, one in enumerate(heard):
        for name, value in ((one.name, one.output), (f"{one.name}:input", one.input)):
            tensor = first_tensor(value)
            if tensor is None or tensor.shape[0] != features.shape[0]:
                continue
            for layout in possible_layouts(tensor, features.shape[1], features.shape[2]):
                if torch.equal(layout.flat(tensor), features):
                    yield order, name, layout


def _owner(model: nn.Module, found: LinearMap) -> str | None:
    """The module whose own weight the map's is."""
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, Tensor) or weight.dim() < 2 or weight.numel() != found.weight.numel():
            continue
        if torch.equal(weight.detach().flatten(1).double(), found.weight):
            return str(name)
    return None
